/**
 * The table of Services. Order of events for a new connection to a service address: `nat` chains look the port up and
 * rewrite the destination (prerouting for packets that arrive, output for the node's own); what still has a service
 * address afterwards has no endpoint or no such port, and is refused at once, so that nobody waits for a timeout.
 */
import { cidr, contains, ip } from "#lib/ip.ts";
import { inSet, is, isNot, type Chain, type Field, type MapElement, type Rule, type SetElement, type Table } from "#lib/nft-ruleset.ts";
import { VXLAN_DEVICE, type NodeSettings } from "#compile/node/settings.ts";
import { countChain, REFUSE_CHAIN, type ServiceRules } from "./service-rules.ts";

export const SERVICES_TABLE = "weft-services";

const PORT_KEY: readonly Field[] = ["ip daddr", "meta l4proto", "th dport"];

/** `hairpins`: (address, address) of the node's pods. */
export function servicesTable(parts: readonly ServiceRules[], hairpins: readonly SetElement[], settings: NodeSettings): Table {
  const claimed = new Set<string>();
  const services = unclaimed(
    parts.flatMap((part) => part.services),
    claimed,
  );
  const refused = unclaimed(
    parts.flatMap((part) => part.refused),
    claimed,
  );
  const endpointsOf = (protocol: "tcp" | "udp") => endpoints.filter(({ key }) => key[1] === protocol);
  const endpoints = unclaimed(
    parts.flatMap((part) => part.endpoints),
    new Set(),
  );
  const counts = new Set(services.map(({ value }) => ("chain" in value ? value.chain : "")));
  const chainOf = new Map(parts.flatMap((part) => part.balanced.map(({ endpoints }): [string, number] => [countChain(endpoints.length), endpoints.length])));
  const send = (protocol: "tcp" | "udp", modulo: number): Rule => ({
    matches: [is("meta l4proto", protocol)],
    statements: [{ kind: "dnat", fields: PORT_KEY, modulo, map: `endpoints-${protocol}` }],
  });
  const balance = [...counts].sort().map((name): Chain => ({ name, rules: [send("tcp", chainOf.get(name) ?? 1), send("udp", chainOf.get(name) ?? 1)] }));
  const own: Rule = { matches: [is("ip daddr", settings.dnsAddress)], statements: [{ kind: "accept" }], comment: "the node itself answers DNS" };
  const translate: Rule[] = [own, { matches: [], statements: [{ kind: "vmap", fields: PORT_KEY, map: "services" }] }];
  const refuse: Rule[] = [
    own,
    { matches: [], statements: [{ kind: "vmap", fields: PORT_KEY, map: "refused" }] },
    { matches: [inSet(["ip daddr"], "addresses")], statements: [{ kind: "goto", chain: REFUSE_CHAIN }], comment: "no Service has this address and port" },
  ];
  return {
    family: "ip",
    name: SERVICES_TABLE,
    sets: [
      { name: "addresses", key: ["ip daddr"], interval: true, elements: addressElements(parts, settings) },
      { name: "hairpins", key: ["ip saddr", "ip daddr"], interval: false, elements: hairpins },
    ],
    maps: [
      { name: "endpoints-tcp", key: PORT_KEY, numbered: true, data: "tcp endpoint", elements: endpointsOf("tcp") },
      { name: "endpoints-udp", key: PORT_KEY, numbered: true, data: "udp endpoint", elements: endpointsOf("udp") },
      { name: "services", key: PORT_KEY, numbered: false, data: "verdict", elements: services },
      { name: "refused", key: PORT_KEY, numbered: false, data: "verdict", elements: refused },
    ],
    chains: [
      ...balance,
      {
        name: REFUSE_CHAIN,
        rules: [
          { matches: [is("meta l4proto", "tcp")], statements: [{ kind: "reject", with: "tcp reset" }] },
          { matches: [], statements: [{ kind: "reject", with: "icmp type port-unreachable" }] },
        ],
      },
      { name: "translate-arriving", base: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" }, rules: translate },
      { name: "translate-own", base: { type: "nat", hook: "output", priority: -100, policy: "accept" }, rules: translate },
      { name: "refuse-arriving", base: { type: "filter", hook: "prerouting", priority: -90, policy: "accept" }, rules: refuse },
      { name: "refuse-own", base: { type: "filter", hook: "output", priority: -90, policy: "accept" }, rules: refuse },
      { name: "source", base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" }, rules: masquerade(settings) },
    ],
  };
}

function masquerade(settings: NodeSettings): Rule[] {
  return [
    {
      matches: [inSet(["ip saddr", "ip daddr"], "hairpins")],
      statements: [{ kind: "masquerade" }],
      comment: "a pod that reaches itself through a Service must see another address, or it answers itself directly",
    },
    {
      matches: [is("oifname", VXLAN_DEVICE), isNot("ip saddr", settings.podCIDR)],
      statements: [{ kind: "masquerade" }],
      comment: "answers to what entered the cluster here must come back through this node",
    },
    {
      matches: [is("oifname", settings.device), is("ip saddr", settings.podCIDR)],
      statements: [{ kind: "masquerade" }],
      comment: "pod addresses are not known outside the cluster",
    },
  ];
}

/** Two Services with one address would make the kernel refuse everything: the first in order keeps it. */
function unclaimed(elements: readonly MapElement[], claimed: Set<string>): MapElement[] {
  return elements.filter(({ key }) => {
    const text = key.join(" ");
    return !claimed.has(text) && claimed.add(text);
  });
}

/** Ranges must not overlap in an interval set. */
function addressElements(parts: readonly ServiceRules[], settings: NodeSettings): SetElement[] {
  const ranges = [settings.serviceCIDR, settings.loadBalancerCIDR];
  const outside = new Set(
    parts.flatMap((part) => part.balanced.map(({ address }) => address)).filter((address) => !ranges.some((range) => contains(cidr(range), ip(address)))),
  );
  return [...ranges, ...[...outside].sort()].map((range) => ({ key: [range] }));
}
