/** The link that has the node's address: what tunnels go over, and how large their packets may be. */
import type { Host } from "#host/host.ts";

export interface Underlay {
  readonly device: string;
  readonly mtu: number;
}

export async function findUnderlay(host: Pick<Host, "netlink">, address: string): Promise<Underlay> {
  const session = host.netlink.open();
  try {
    const found = (await session.addresses()).find(({ cidr }) => cidr.split("/")[0] === address);
    const link = (await session.links()).find(({ name }) => name === found?.link);
    if (link === undefined) {
      const present = (await session.addresses()).map(({ link: name, cidr }) => `${cidr} on ${name}`).join(", ");
      throw new Error(`NODE_IP: no link of this node has ${address} (there is ${present}); the agent must run with hostNetwork`);
    }
    return { device: link.name, mtu: link.mtu };
  } finally {
    session.close();
  }
}
