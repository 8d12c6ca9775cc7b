/**
 * Connections whose endpoint went: their conntrack entries would send packets to an address that is nobody's, or, worse,
 * somebody else's by then. A TCP endpoint that drains keeps its connections; UDP has no connections to keep.
 */
import type { ConntrackMatch } from "#host/netlink.ts";
import type { BalancedPort } from "#model/plan/node-plan.ts";

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
