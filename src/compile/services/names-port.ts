/**
 * Port 53 of the cluster's DNS address, when the program that answers there listens at another port of it: it then needs no
 * right of root's. The address stays, so the answer comes from where it was asked, and rules that name the address still mean
 * it; the port is rewritten after policies have been asked (compile/policy/policy.ts), so rules that name port 53 do as well.
 *
 * Who asks at that other port himself is refused there, but for the node's own programs: weft-names looks whether it answers.
 */
import type { NodeSettings } from "#compile/node/settings.ts";
import { is, isNot, type MapElement, type NamedMap, type Rule } from "#lib/nft-ruleset.ts";
import type { BalancedPort, NodePlan } from "#model/plan/node-plan.ts";
import { PORT_KEY } from "./balance-chains.ts";

type Facts = Pick<NodeSettings, "dnsAddress" | "namesPort">;

const DNS_PORT = 53;
const PROTOCOLS = ["tcp", "udp"] as const;
const mapOf = (protocol: "tcp" | "udp") => `names-${protocol}`;

export function namesMaps({ dnsAddress, namesPort }: Facts): NamedMap[] {
  if (namesPort === undefined) return [];
  return PROTOCOLS.map((protocol): NamedMap => {
    const element: MapElement = {
      key: [dnsAddress, protocol, String(DNS_PORT)],
      value: [dnsAddress, String(namesPort)],
      comment: "the node itself answers DNS, at this port",
    };
    return { name: mapOf(protocol), key: PORT_KEY, numbered: false, data: `${protocol} endpoint`, elements: [element] };
  });
}

/** In chains that translate, before all Services. */
export function namesTranslation({ dnsAddress, namesPort }: Facts): Rule[] {
  if (namesPort === undefined) return [];
  return PROTOCOLS.map((protocol): Rule => ({
    matches: [is("ip daddr", dnsAddress), is("meta l4proto", protocol)],
    statements: [{ kind: "dnat", fields: PORT_KEY, map: mapOf(protocol) }],
  }));
}

/** Where what arrives is refused, before all that has the address passes. */
export function namesRefusal({ dnsAddress, namesPort }: Facts, refuse: string): Rule[] {
  if (namesPort === undefined) return [];
  return [
    { matches: [is("ip daddr", dnsAddress), is("ct status", "dnat")], statements: [{ kind: "accept" }], comment: "the node itself answers DNS" },
    {
      matches: [isNot("iifname", "lo"), is("ip daddr", dnsAddress), is("th dport", String(namesPort))],
      statements: [{ kind: "goto", chain: refuse }],
      comment: `names are asked at port ${DNS_PORT}`,
    },
  ];
}

/** With the ports of Services, so that what was not rewritten before is forgotten: `others` of this address lead nowhere. */
export function namesBalanced({ dnsAddress, namesPort }: Facts, others: readonly BalancedPort[]): readonly BalancedPort[] {
  if (namesPort === undefined) return others;
  const by = { kind: "Service", namespace: "kube-system", name: "kube-dns", field: "" };
  const own = PROTOCOLS.map((protocol): BalancedPort => ({
    address: dnsAddress,
    protocol,
    port: DNS_PORT,
    endpoints: [`${dnsAddress}:${namesPort}`],
    draining: [],
    by,
  }));
  return [...others.filter(({ address }) => address !== dnsAddress), ...own];
}

/** The plan while nobody listens at that other port: port 53 is left to who may have it still. */
export function withoutNamesPort(plan: NodePlan, { dnsAddress }: Pick<NodeSettings, "dnsAddress">): NodePlan {
  const ours = new Set(PROTOCOLS.map(mapOf));
  return {
    ...plan,
    tables: plan.tables.map((table) => ({ ...table, maps: table.maps.map((map) => (ours.has(map.name) ? { ...map, elements: [] } : map)) })),
    balanced: plan.balanced.map((port) => (port.address === dnsAddress ? { ...port, endpoints: [] } : port)),
  };
}
