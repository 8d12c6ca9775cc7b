/** Which virtual host serves an authority: exact, then longest suffix (`*.a`), then longest prefix (`a.*`), then `*`. */
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";

/** Returns the index of the virtual host, or -1. */
export type HostMatch = (authority: string) => number;

interface Wildcard {
  readonly part: string;
  readonly index: number;
}

export function compileVirtualHosts(config: RouteConfiguration, path: string): HostMatch {
  const exact = new Map<string, number>();
  const suffixes: Wildcard[] = [];
  const prefixes: Wildcard[] = [];
  let fallback = -1;
  for (const [index, host] of config.virtualHosts.entries()) {
    if (host.domains.length === 0) throw new ConfigProblem(`${path}.virtual_hosts[${index}].domains`, "is empty; give at least one domain, or *");
    for (const domain of host.domains.map((d) => d.toLowerCase())) {
      const taken = () =>
        new ConfigProblem(`${path}.virtual_hosts[${index}].domains`, `"${domain}" is already taken by another virtual host; only one may have it`);
      if (domain === "*") {
        if (fallback >= 0) throw taken();
        fallback = index;
      } else if (domain.startsWith("*")) {
        if (suffixes.some(({ part }) => part === domain.slice(1))) throw taken();
        suffixes.push({ part: domain.slice(1), index });
      } else if (domain.endsWith("*")) {
        if (prefixes.some(({ part }) => part === domain.slice(0, -1))) throw taken();
        prefixes.push({ part: domain.slice(0, -1), index });
      } else {
        if (exact.has(domain)) throw taken();
        exact.set(domain, index);
      }
    }
  }
  const longestFirst = (a: Wildcard, b: Wildcard): number => b.part.length - a.part.length;
  suffixes.sort(longestFirst);
  prefixes.sort(longestFirst);
  if (exact.size === 0 && suffixes.length === 0 && prefixes.length === 0) return () => fallback;
  return (authority) => {
    const known = exact.get(authority);
    if (known !== undefined) return known;
    const lower = authority.toLowerCase();
    const found = lower === authority ? undefined : exact.get(lower);
    if (found !== undefined) return found;
    // A star stands for at least one character.
    for (const { part, index } of suffixes) if (lower.length > part.length && lower.endsWith(part)) return index;
    for (const { part, index } of prefixes) if (lower.length > part.length && lower.startsWith(part)) return index;
    return fallback;
  };
}

/** Cuts the port off; of an IPv6 literal only what follows the bracket. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(":");
  if (colon < 0 || authority.endsWith("]")) return authority;
  if (authority.indexOf(":") !== colon && !authority.startsWith("[")) return authority;
  return authority.slice(0, colon);
}
