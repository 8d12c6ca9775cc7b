/**
 * The table in a pod's own namespace that gives its TCP traffic to its proxy: what leaves to 15001, what arrives to
 * 15006. The proxy's own sockets carry a mark, loopback stays as it is, UDP (and so DNS) is not touched. Nobody may connect
 * to the two ports directly: the proxy would take itself for the destination and call itself for ever.
 */
import { is, isNot, type Chain, type Match, type Rule, type Table } from "#lib/nft-ruleset.ts";
import type { Pod } from "#model/core.ts";
import type { PlanProblem } from "#model/plan/node-plan.ts";
import { isIntercepted, readInterception, type Interception } from "./annotations.ts";

export const INTERCEPTION_TABLE = "weft-proxy";
/** 1337, Istio's number for its proxy. */
export const PROXY_MARK = "0x539";
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

export function compileInterception(pod: Pod | undefined): PodInterception {
  if (pod === undefined || !isIntercepted(pod)) return { tables: [], problems: [] };
  const { interception, problems } = readInterception(pod);
  return {
    tables: [interceptionTable(interception)],
    problems: problems.map(({ annotation, message }) => ({
      by: { kind: "Pod", namespace: pod.metadata.namespace ?? "", name: pod.metadata.name, field: `metadata.annotations["${annotation}"]` },
      message,
    })),
  };
}

const TCP = is("meta l4proto", "tcp");

export function interceptionTable(interception: Interception): Table {
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
      { name: "outbound", base: { type: "nat", hook: "output", priority: -100, policy: "accept" }, rules: outbound(interception) },
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

function outbound({ includeRanges, excludeRanges, includeOutbound, excludeOutbound }: Interception): Rule[] {
  const redirect: Rule["statements"] = [{ kind: "redirect", port: OUTBOUND_PORT }];
  const rules: Rule[] = [
    {
      matches: [is("meta mark", PROXY_MARK), is("oifname", "lo"), isNot("ip daddr", "127.0.0.0/8"), isNot("ip saddr", TO_APPLICATION), TCP],
      statements: [{ kind: "redirect", port: INBOUND_PORT }],
      comment: "to the proxy, inbound: the pod is an endpoint of the service that it calls",
    },
    pass([is("meta mark", PROXY_MARK)], "what the proxy sends"),
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
