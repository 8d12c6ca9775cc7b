/**
 * Connections whose endpoint went: their conntrack entries would send packets to an address that is nobody's, or, worse,
 * somebody else's by then. A TCP endpoint that drains keeps its connections; UDP has no connections to keep. And what was
 * sent by UDP while nobody served the port would go on being sent to nobody.
 */
import type { ConntrackFlow, ConntrackMatch, NetlinkSession } from "#host/netlink.ts";
import type { BalancedPort, NodePlan } from "#model/plan/node-plan.ts";
import type { Log } from "#run/log.ts";

/** Forgets them after each plan; after the first also those of endpoints that went while no agent was here. */
export class Connections {
  readonly #netlink: Pick<NetlinkSession, "connections" | "deleteConntrack">;
  readonly #log: Log;
  #balanced: NodePlan["balanced"] | undefined;

  constructor(netlink: Pick<NetlinkSession, "connections" | "deleteConntrack">, log: Log) {
    this.#netlink = netlink;
    this.#log = log;
  }

  async applied(plan: NodePlan): Promise<void> {
    const before = this.#balanced;
    this.#balanced = plan.balanced;
    const lost = before === undefined ? staleConnections(await this.#netlink.connections(), plan.balanced) : lostBetween(before, plan.balanced);
    for (const match of lost) {
      await this.#netlink
        .deleteConntrack(match)
        .catch((error: unknown) => this.#log.warn("could not forget connections of an endpoint that went", { object: match.replySource?.ip ?? "", error }));
    }
  }
}

/** To addresses of Services, answered by who is no endpoint of theirs. All clients of one in one match: each costs a look at all connections. */
export function staleConnections(flows: readonly ConntrackFlow[], balanced: readonly BalancedPort[]): ConntrackMatch[] {
  const ports = new Map(balanced.map((port) => [keyOf(port), port]));
  const stale = flows.filter(({ protocol, originalDestination, replySource }) => {
    const port = ports.get(keyOf({ address: originalDestination.ip, protocol, port: originalDestination.port }));
    if (port === undefined || kept(port).has(endpointText(replySource))) return false;
    return replySource.ip !== port.address || (protocol === "udp" && port.endpoints.length > 0);
  });
  const matches = stale.map(({ protocol, originalDestination, replySource }): ConntrackMatch => ({ protocol, originalDestination, replySource }));
  return [...new Map(matches.map((match) => [JSON.stringify(match), match])).values()];
}

/** Compilers keep what did not change, so nearly all ports are the same objects: only the rest is looked at. */
function lostBetween(before: readonly BalancedPort[], after: readonly BalancedPort[]): ConntrackMatch[] {
  if (before === after) return [];
  const [old, now] = [new Set(before), new Set(after)];
  const [gone, come] = [before.filter((port) => !now.has(port)), after.filter((port) => !old.has(port))];
  return [...lostEndpoints(gone, come), ...unserved(gone, come)];
}

export function lostEndpoints(before: readonly BalancedPort[], after: readonly BalancedPort[]): ConntrackMatch[] {
  const now = new Map(after.map((port) => [keyOf(port), port]));
  return before.flatMap((port) => {
    const current = now.get(keyOf(port));
    if (current === port) return [];
    const stay = current === undefined ? new Set() : kept(current);
    const gone = new Set([...port.endpoints, ...port.draining].filter((endpoint) => !stay.has(endpoint)));
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

/** Never translated, by UDP, to ports that have endpoints now and had none. */
export function unserved(before: readonly BalancedPort[], after: readonly BalancedPort[]): ConntrackMatch[] {
  const served = new Set(before.filter(({ endpoints }) => endpoints.length > 0).map(keyOf));
  return after
    .filter((port) => port.protocol === "udp" && port.endpoints.length > 0 && !served.has(keyOf(port)))
    .map(({ address, port }) => ({ protocol: "udp", originalDestination: { ip: address, port }, replySource: { ip: address, port } }));
}

function kept(port: BalancedPort): ReadonlySet<string> {
  return new Set([...port.endpoints, ...(port.protocol === "tcp" ? port.draining : [])]);
}

function endpointText({ ip, port }: { readonly ip: string; readonly port: number }): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function keyOf({ address, protocol, port }: Pick<BalancedPort, "address" | "protocol" | "port">): string {
  return `${address} ${protocol} ${port}`;
}
