/**
 * Connections whose endpoint went: their conntrack entries would send packets to an address that is nobody's, or, worse,
 * somebody else's by then. A TCP endpoint that drains keeps its connections; UDP has no connections to keep.
 */
import type { ConntrackMatch, NetlinkSession } from "#host/netlink.ts";
import type { BalancedPort, NodePlan } from "#model/plan/node-plan.ts";
import type { Log } from "#run/log.ts";

/** Forgets them after each plan. */
export class Connections {
  readonly #netlink: Pick<NetlinkSession, "deleteConntrack">;
  readonly #log: Log;
  #balanced: NodePlan["balanced"] = [];

  constructor(netlink: Pick<NetlinkSession, "deleteConntrack">, log: Log) {
    this.#netlink = netlink;
    this.#log = log;
  }

  async applied(plan: NodePlan): Promise<void> {
    const lost = lostEndpoints(this.#balanced, plan.balanced);
    this.#balanced = plan.balanced;
    for (const match of lost) {
      await this.#netlink
        .deleteConntrack(match)
        .catch((error: unknown) => this.#log.warn("could not forget connections of an endpoint that went", { object: match.replySource?.ip ?? "", error }));
    }
  }
}

export function lostEndpoints(before: readonly BalancedPort[], after: readonly BalancedPort[]): ConntrackMatch[] {
  const now = new Map(after.map((port) => [keyOf(port), port]));
  return before.flatMap((port) => {
    const current = now.get(keyOf(port));
    if (current === port) return [];
    const kept = new Set([...(current?.endpoints ?? []), ...(port.protocol === "tcp" ? (current?.draining ?? []) : [])]);
    const gone = new Set([...port.endpoints, ...port.draining].filter((endpoint) => !kept.has(endpoint)));
    return [...gone].map((endpoint): ConntrackMatch => {
      const colon = endpoint.lastIndexOf(":");
      const ip = endpoint.slice(0, colon).replace(/^\[|\]$/g, "");
      return {
        protocol: port.protocol,
        originalDestination: { ip: port.address, port: port.port },
        replySource: { ip, port: Number(endpoint.slice(colon + 1)) },
      };
    });
  });
}

function keyOf(port: BalancedPort): string {
  return `${port.address} ${port.protocol} ${port.port}`;
}
