/**
 * The table in a pod's own namespace that gives its TCP traffic to its proxy: what leaves to 15001, what arrives to
 * 15006. The proxy's own sockets carry a mark or have its uid, loopback stays as it is, UDP (and so DNS) is not touched. Nobody
 * may connect to the two ports directly: the proxy would take itself for the destination and call itself for ever.
 *
 * No address is exempt, the node's own neither: kubelet asks the proxy's own port (15020), or meets the pod's rules.
 */
import { is, isNot, type Chain, type Match, type Rule, type Table } from "#lib/nft-ruleset.ts";
import type { NodeSettings } from "#compile/node/settings.ts";
import type { Pod } from "#model/core.ts";
import type { PlanProblem } from "#model/plan/node-plan.ts";
import { isIntercepted, readInterception, type Interception } from "./annotations.ts";

export const INTERCEPTION_TABLE = "weft-proxy";
/** Of its own name: agents tell tables apart by their names. */
const CLOSED_TABLE = "weft-proxy6";
/** Istio's number for its proxy, as a mark and as a uid. */
const PROXY: { readonly [K in NodeSettings["proxyKnownBy"]]: Match } = { mark: is("meta mark", "0x539"), uid: is("meta skuid", "1337") };
/** Source of the connections by which a proxy hands traffic to its application, which must not come back to it. Istio's. */
const TO_APPLICATION = "127.0.0.6";
const OUTBOUND_PORT = 15001;
const INBOUND_PORT = 15006;
/** Readiness, and Prometheus: whoever asks them must reach the proxy in clear. */
const PROXY_PORTS = ["15020", "15021", "15090"];

export interface PodInterception {
  readonly tables: readonly Table[];
  readonly problems: readonly PlanProblem[];
}

export function compileInterception(pod: Pod | undefined, knownBy: NodeSettings["proxyKnownBy"]): PodInterception {
  if (pod === undefined || !isIntercepted(pod)) return { tables: [], problems: [] };
  const { interception, problems } = readInterception(pod);
  const table = interceptionTable(interception, PROXY[knownBy]);
  return {
    // Pods of the embedded cluster have no IPv6; behind another network's plugin they may.
    tables: knownBy === "mark" ? [table] : [table, closedTable(PROXY.uid)],
    problems: problems.map(({ annotation, message }) => ({
      by: { kind: "Pod", namespace: pod.metadata.namespace ?? "", name: pod.metadata.name, field: `metadata.annotations["${annotation}"]` },
      message,
    })),
  };
}

const TCP = is("meta l4proto", "tcp");

function interceptionTable(interception: Interception, proxy: Match): Table {
  return {
    family: "ip",
    name: INTERCEPTION_TABLE,
    sets: [],
    maps: [],
    chains: [
      // Before NAT (-100), where a redirected packet still has the port that it was sent to.
      guard("guard-arriving", "prerouting", [isNot("iifname", "lo")]),
      guard("guard-leaving", "output", []),
      { name: "inbound", base: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" }, rules: inbound(interception) },
      { name: "outbound", base: { type: "nat", hook: "output", priority: -100, policy: "accept" }, rules: outbound(interception, proxy) },
    ],
  };
}

/** Proxies serve IPv4 only: over IPv6 a meshed pod would be reached, and would reach others, past all that its proxy decides. */
function closedTable(proxy: Match): Table {
  const refuse = (name: string, hook: "prerouting" | "output", matches: readonly Match[]): Chain => ({
    name,
    base: { type: "filter", hook, priority: -150, policy: "accept" },
    rules: [{ matches: [TCP, ...matches, is("ct state", "new")], statements: [{ kind: "reject", with: "tcp reset" }], comment: "no IPv6 past the proxy" }],
  });
  return {
    family: "ip6",
    name: CLOSED_TABLE,
    sets: [],
    maps: [],
    chains: [
      refuse("arriving", "prerouting", [isNot("iifname", "lo"), isNot("th dport", ...PROXY_PORTS)]),
      refuse("leaving", "output", [isNot("oifname", "lo"), { ...proxy, not: true }]),
    ],
  };
}

function guard(name: string, hook: "prerouting" | "output", extra: readonly Match[]): Chain {
  return {
    name,
    base: { type: "filter", hook, priority: -150, policy: "accept" },
    rules: [
      {
        matches: [...extra, TCP, is("th dport", String(OUTBOUND_PORT), String(INBOUND_PORT)), is("ct state", "new")],
        statements: [{ kind: "reject", with: "tcp reset" }],
        comment: "nobody connects to the proxy's own ports",
      },
    ],
  };
}

function inbound({ includeInbound, excludeInbound }: Interception): Rule[] {
  const redirect: Rule["statements"] = [{ kind: "redirect", port: INBOUND_PORT }];
  const rules: Rule[] = [
    pass([is("iifname", "lo")], "what the pod sends itself"),
    pass([TCP, is("th dport", ...PROXY_PORTS)], "readiness and metrics of the proxy"),
  ];
  if (includeInbound !== "all") {
    if (includeInbound.length > 0) rules.push({ matches: [TCP, is("th dport", ...includeInbound)], statements: redirect, comment: "includeInboundPorts" });
    return rules;
  }
  if (excludeInbound.length > 0) rules.push(pass([TCP, is("th dport", ...excludeInbound)], "excludeInboundPorts"));
  rules.push({ matches: [TCP], statements: redirect, comment: "to the proxy, inbound" });
  return rules;
}

function outbound({ includeRanges, excludeRanges, includeOutbound, excludeOutbound }: Interception, proxy: Match): Rule[] {
  const redirect: Rule["statements"] = [{ kind: "redirect", port: OUTBOUND_PORT }];
  const rules: Rule[] = [
    {
      matches: [proxy, is("oifname", "lo"), isNot("ip daddr", "127.0.0.0/8"), isNot("ip saddr", TO_APPLICATION), TCP],
      statements: [{ kind: "redirect", port: INBOUND_PORT }],
      comment: "to the proxy, inbound: the pod is an endpoint of the service that it calls",
    },
    pass([proxy], "what the proxy sends"),
    pass([is("oifname", "lo")], "what the pod sends itself"),
  ];
  if (excludeOutbound.length > 0) rules.push(pass([TCP, is("th dport", ...excludeOutbound)], "excludeOutboundPorts"));
  if (excludeRanges.length > 0) rules.push(...excludeRanges.map((range) => pass([is("ip daddr", range)], "excludeOutboundIPRanges")));
  if (includeOutbound.length > 0) rules.push({ matches: [TCP, is("th dport", ...includeOutbound)], statements: redirect, comment: "includeOutboundPorts" });
  if (includeRanges === "all") rules.push({ matches: [TCP], statements: redirect, comment: "to the proxy, outbound" });
  else rules.push(...includeRanges.map((range): Rule => ({ matches: [TCP, is("ip daddr", range)], statements: redirect, comment: "includeOutboundIPRanges" })));
  return rules;
}

function pass(matches: readonly Match[], why: string): Rule {
  return { matches, statements: [{ kind: "return" }], comment: why };
}
