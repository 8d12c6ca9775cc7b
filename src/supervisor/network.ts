/** The wires of the embedded cluster: one network namespace a node, and one beside the nodes, on an underlay bridge. */
import type { Host } from "#host/host.ts";
import type { NetlinkSession } from "#host/netlink.ts";
import type { RuntimeConfig } from "#model/config.ts";

const BRIDGE = "underlay";
/** 192.168.99.9: a machine beside the nodes that knows nothing of pods. */
export const OUTSIDE = { name: "outside", host: 9 };

export function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

type NetworkHost = Pick<Host, "files" | "netlink" | "netns">;

export async function buildNetwork(host: NetworkHost, config: RuntimeConfig): Promise<void> {
  const prefix = config.underlay.slice(config.underlay.indexOf("/"));
  const root = host.netlink.open();
  try {
    await root.setLink("lo", { up: true });
    await root.addLink({ kind: "bridge", name: BRIDGE, mtu: 1500 });
    await root.addAddress(BRIDGE, config.controlAddress + prefix);
    await root.setLink(BRIDGE, { up: true });
    await host.files.makeDirectory("/run/netns");
    const machines = [...config.nodes, { name: OUTSIDE.name, address: outsideAddress(config), podCIDR: undefined }];
    await Promise.all(machines.map((machine) => addMachine(host, root, config, { name: machine.name, cidr: machine.address + prefix })));
    for (const node of config.nodes) await root.addRoute({ destination: node.podCIDR, gateway: node.address });
    const [first] = config.nodes;
    // Every node answers for LoadBalancer addresses; they are inside the underlay's range, so a more specific route is needed.
    if (first !== undefined) await root.addRoute({ destination: config.loadBalancerCIDR, gateway: first.address });
  } finally {
    root.close();
  }
}

export function outsideAddress(config: RuntimeConfig): string {
  return config.controlAddress.replace(/[0-9]+$/, String(OUTSIDE.host));
}

async function addMachine(
  host: NetworkHost,
  root: NetlinkSession,
  config: RuntimeConfig,
  machine: { readonly name: string; readonly cidr: string },
): Promise<void> {
  const netns = netnsPath(machine.name);
  await host.netns.create(netns);
  // Named after the machine in the root namespace (15 characters at most), where a capture of the underlay is made.
  const port = machine.name.slice(0, 15);
  await root.addLink({ kind: "veth", name: port, mtu: 1500, peer: { name: "eth0", netns, mtu: 1500 } });
  await root.setLink(port, { master: BRIDGE, up: true });
  const session = host.netlink.open(netns);
  try {
    await session.setLink("lo", { up: true });
    await session.addAddress("eth0", machine.cidr);
    await session.setLink("eth0", { up: true });
    // The root namespace forwards nothing: the default route only gives addresses like a Service's a way to be looked up.
    await session.addRoute({ destination: "0.0.0.0/0", gateway: config.controlAddress, link: "eth0" });
    const [first] = config.nodes;
    if (machine.name === OUTSIDE.name && first !== undefined)
      await session.addRoute({ destination: config.loadBalancerCIDR, gateway: first.address, link: "eth0" });
  } finally {
    session.close();
  }
}
