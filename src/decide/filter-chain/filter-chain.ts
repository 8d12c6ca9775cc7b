/**
 * Which filter chain of a listener takes a connection. Envoy's rule: criteria are looked at in a fixed order, and each
 * keeps only the chains that fit the connection best; there is no way back, so a chain that fits better at an earlier
 * criterion and not at all at a later one leaves the connection to the default chain.
 */
import { toJsonString } from "@bufbuild/protobuf";
import { type Cidr, compareIps, contains, type Ip } from "#lib/ip.ts";
import {
  type FilterChainMatch,
  FilterChainMatch_ConnectionSourceType,
  FilterChainMatchSchema,
} from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileRange } from "#decide/match/ip-match.ts";
import { provenanceOf } from "#decide/provenance-of.ts";
import type { ConnectionView } from "#decide/request-view.ts";

/** No chain takes it, and there is no default: the connection is closed. */
export const NO_CHAIN = -1;

export interface FilterChains {
  /** In the listener's order; the default chain, when there is one, is the last. */
  readonly chains: readonly { readonly name: string; readonly by: string | undefined }[];
  /** Index into `chains`, or NO_CHAIN. */
  match(connection: ConnectionView): number;
}

/** How well a chain fits: -1 not at all; more is more specific. */
type Fit = (connection: ConnectionView) => number;

export function compileFilterChains(listener: Listener, path: string): FilterChains {
  const stages = listener.filterChains.map((chain, i) => compileMatch(chain.filterChainMatch, `${path}.filter_chains[${i}].filter_chain_match`));
  refuseTwins(listener, path);
  const all = [...listener.filterChains, ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain])];
  const chains = all.map((chain) => ({ name: chain.name, by: provenanceOf(chain.metadata) }));
  const fallback = listener.defaultFilterChain === undefined ? NO_CHAIN : chains.length - 1;
  const stageCount = stages[0]?.length ?? 0;
  if (stages.length === 1 && (stages[0] ?? []).every((fit) => fit === anything)) return { chains, match: () => 0 };
  const match = (connection: ConnectionView): number => {
    let left = stages.map((_, i) => i);
    for (let stage = 0; stage < stageCount; stage++) {
      let best = 0;
      let kept: number[] = [];
      for (const i of left) {
        const fit = stages[i]?.[stage]?.(connection) ?? -1;
        if (fit < best) continue;
        if (fit > best) kept = [];
        best = fit;
        kept.push(i);
      }
      if (kept.length === 0) return fallback;
      left = kept;
    }
    return left[0] ?? fallback;
  };
  return { chains, match };
}

/** The second of two chains for the same connections would never be asked. */
function refuseTwins({ filterChains }: Listener, path: string): void {
  const seen = new Map<string, number>();
  for (const [i, { filterChainMatch }] of filterChains.entries()) {
    const key = filterChainMatch === undefined ? "" : toJsonString(FilterChainMatchSchema, filterChainMatch);
    const first = seen.get(key === "{}" ? "" : key);
    if (first !== undefined) throw new ConfigProblem(`${path}.filter_chains[${i}].filter_chain_match`, `is the same as that of filter_chains[${first}]`);
    seen.set(key === "{}" ? "" : key, i);
  }
}

const anything: Fit = () => 0;

function compileMatch(match: FilterChainMatch | undefined, path: string): Fit[] {
  if (match === undefined) return Array.from({ length: 9 }, () => anything);
  if (match.addressSuffix !== "") throw new ConfigProblem(`${path}.address_suffix`, NOT_SUPPORTED);
  if (match.suffixLen !== undefined) throw new ConfigProblem(`${path}.suffix_len`, NOT_SUPPORTED);
  const port = match.destinationPort;
  return [
    port === undefined ? anything : ({ destination }) => (destination.port === port ? 1 : -1),
    ranges(match.prefixRanges, `${path}.prefix_ranges`, ({ destination }) => destination.ip),
    serverNames(match.serverNames, path),
    match.transportProtocol === "" ? anything : ({ transportProtocol }) => (transportProtocol === match.transportProtocol ? 1 : -1),
    match.applicationProtocols.length === 0 ? anything : applicationProtocols(match.applicationProtocols),
    ranges(match.directSourcePrefixRanges, `${path}.direct_source_prefix_ranges`, ({ directRemote }) => directRemote.ip),
    sourceType(match.sourceType),
    ranges(match.sourcePrefixRanges, `${path}.source_prefix_ranges`, ({ remote }) => remote.ip),
    match.sourcePorts.length === 0 ? anything : ({ remote }) => (match.sourcePorts.includes(remote.port) ? 1 : -1),
  ];
}

/** Longest prefix that holds the address; 1 more than its length, so that 0 bits beat no range at all. */
function ranges(configured: FilterChainMatch["prefixRanges"], path: string, of: (connection: ConnectionView) => Ip | undefined): Fit {
  if (configured.length === 0) return anything;
  const compiled: Cidr[] = configured.map((range, i) => compileRange(range, `${path}[${i}]`));
  return (connection) => {
    const ip = of(connection);
    let best = -1;
    if (ip !== undefined) for (const range of compiled) if (range.prefix + 1 > best && contains(range, ip)) best = range.prefix + 1;
    return best;
  };
}

/** Exact beats a wildcard, a longer wildcard a shorter one. */
function serverNames(names: readonly string[], path: string): Fit {
  if (names.length === 0) return anything;
  for (const [i, name] of names.entries()) {
    if (name.includes("*") && !name.startsWith("*."))
      throw new ConfigProblem(`${path}.server_names[${i}]`, `"${name}": a wildcard may only be the first label, as in *.example.org`);
  }
  return ({ serverName }) => {
    if (serverName === undefined) return -1;
    let best = -1;
    for (const name of names) {
      if (name === serverName) return 1_000_000;
      if (name.startsWith("*.") && serverName.endsWith(name.slice(1)) && serverName.length > name.length - 1) best = Math.max(best, name.length);
    }
    return best;
  };
}

/** What the client prefers (its order) decides. */
function applicationProtocols(protocols: readonly string[]): Fit {
  return (connection) => {
    const index = connection.applicationProtocols.findIndex((protocol) => protocols.includes(protocol));
    return index < 0 ? -1 : 1_000 - index;
  };
}

function sourceType(type: FilterChainMatch_ConnectionSourceType): Fit {
  if (type === FilterChainMatch_ConnectionSourceType.ANY) return anything;
  const wantsLocal = type === FilterChainMatch_ConnectionSourceType.SAME_IP_OR_LOOPBACK;
  return ({ directRemote, destination }) => {
    const remote = directRemote.ip;
    const isLocal = remote === undefined || isLoopback(remote) || (destination.ip !== undefined && compareIps(remote, destination.ip) === 0);
    return isLocal === wantsLocal ? 1 : -1;
  };
}

function isLoopback(ip: Ip): boolean {
  return ip.family === 4 ? ip.value >> 24n === 127n : ip.value === 1n;
}
