/**
 * The table of Services. Order of events for a new connection to a service address: sources are checked where a Service
 * restricts them; `nat` chains look the port up and rewrite the destination (prerouting for packets that arrive, output for
 * the node's own); what still has a service address afterwards has no endpoint or no such port, and is refused at once, so
 * that nobody waits for a timeout. Ports of the node itself are looked up by the same maps, with the node's addresses.
 *
 * Measured with 1,000 Services of three endpoints: an endpoint more is a transaction of 650 bytes (1,100 when each Service has a
 * port of the node, 2,800 when clients stay, too) and 10 ms of our CPU (25, 60). What it costs the kernel was not measured.
 */
import { inSet, is, isNot, notInSet, type Chain, type MapElement, type Rule, type SetElement, type Table } from "#lib/nft-ruleset.ts";
import { serviceRanges, VXLAN_DEVICE, type NodeSettings } from "#compile/node/settings.ts";
import { balanceChain, balanceChainName, CLIENTS_MAP, PORT_KEY, STICKY_KEY } from "./balance-chains.ts";
import { namesMaps, namesRefusal, namesTranslation } from "./names-port.ts";
import { ELSEWHERE_CHAIN, REFUSE_CHAIN, RESTRICTED_CHAIN, type ServiceElements, type ServiceRules } from "./service-rules.ts";

export const SERVICES_TABLE = "weft-services";

/** Links of pods and the tunnel. */
const OWN_LINKS = "weft*";

/** `hairpins`: (address, address) of the node's pods. */
export function servicesTable(parts: readonly ServiceRules[], hairpins: readonly SetElement[], settings: NodeSettings): Table {
  const claimed = new Set<string>();
  const all = (name: Exclude<keyof ServiceElements, "allowed">, taken = new Set<string>()) =>
    unclaimed(
      parts.flatMap((part) => part[name]),
      taken,
    );
  const services = all("services", claimed);
  const refused = all("refused", claimed);
  const ofProtocol = (elements: readonly MapElement[], protocol: "tcp" | "udp") => elements.filter(({ key }) => key[1] === protocol);
  const endpoints = all("endpoints");
  const sticky = all("sticky");
  const chains = new Map<string, Chain>();
  for (const part of parts) {
    for (const chain of part.chains) {
      const name = balanceChainName(chain);
      if (!chains.has(name)) chains.set(name, balanceChain(chain));
    }
  }
  return {
    family: "ip",
    name: SERVICES_TABLE,
    sets: [
      { name: "addresses", key: ["ip daddr"], interval: true, elements: addressElements(parts, settings) },
      { name: "hairpins", key: ["ip saddr", "ip daddr"], interval: false, elements: hairpins },
      {
        name: "allowed-sources",
        key: [...PORT_KEY, "ip saddr"],
        interval: true,
        elements: allowedSources(parts),
      },
    ],
    maps: [
      { name: "endpoints-tcp", key: PORT_KEY, numbered: true, data: "tcp endpoint", elements: ofProtocol(endpoints, "tcp") },
      { name: "endpoints-udp", key: PORT_KEY, numbered: true, data: "udp endpoint", elements: ofProtocol(endpoints, "udp") },
      CLIENTS_MAP,
      { name: "marks", key: PORT_KEY, numbered: true, data: "mark", elements: all("marks") },
      { name: "sticky-tcp", key: STICKY_KEY, numbered: false, data: "tcp endpoint", elements: ofProtocol(sticky, "tcp") },
      { name: "sticky-udp", key: STICKY_KEY, numbered: false, data: "udp endpoint", elements: ofProtocol(sticky, "udp") },
      { name: "services", key: PORT_KEY, numbered: false, data: "verdict", elements: services },
      { name: "inside", key: PORT_KEY, numbered: false, data: "verdict", elements: all("inside") },
      { name: "refused", key: PORT_KEY, numbered: false, data: "verdict", elements: refused },
      { name: "restricted", key: PORT_KEY, numbered: false, data: "verdict", elements: all("restricted") },
      ...namesMaps(settings),
    ],
    chains: [...[...chains.keys()].sort().flatMap((name) => chains.get(name) ?? []), ...refusals(), ...hooks(settings)],
  };
}

function refusals(): Chain[] {
  return [
    {
      name: REFUSE_CHAIN,
      rules: [
        { matches: [is("meta l4proto", "tcp")], statements: [{ kind: "reject", with: "tcp reset" }] },
        { matches: [], statements: [{ kind: "reject", with: "icmp type port-unreachable" }] },
      ],
    },
    {
      name: ELSEWHERE_CHAIN,
      // Not refused: while endpoints move, a client that tries again is served by another node, or by this one.
      rules: [{ matches: [], statements: [{ kind: "drop" }], comment: "no endpoint is on this node, and the traffic policy is Local" }],
    },
    {
      name: RESTRICTED_CHAIN,
      rules: [
        {
          matches: [notInSet([...PORT_KEY, "ip saddr"], "allowed-sources")],
          statements: [{ kind: "drop" }],
          comment: "the source is in none of the ranges",
        },
      ],
    },
  ];
}

function hooks(settings: NodeSettings): Chain[] {
  const lookUp = (map: string) => ({ kind: "vmap", fields: PORT_KEY, map }) as const;
  const own: Rule = { matches: [is("ip daddr", settings.dnsAddress)], statements: [{ kind: "accept" }], comment: "the node itself answers DNS" };
  const check: Rule[] = [{ matches: [], statements: [lookUp("restricted")] }];
  const translate = (fromInside: Rule["matches"]): Rule[] => [
    ...namesTranslation(settings),
    own,
    { matches: fromInside, statements: [lookUp("inside")] },
    { matches: [], statements: [lookUp("services")] },
  ];
  const refuse: Rule[] = [
    own,
    { matches: [], statements: [lookUp("refused")] },
    { matches: [inSet(["ip daddr"], "addresses")], statements: [{ kind: "goto", chain: REFUSE_CHAIN }], comment: "no Service has this address and port" },
  ];
  return [
    { name: "check-arriving", base: { type: "filter", hook: "prerouting", priority: -110, policy: "accept" }, rules: check },
    { name: "check-own", base: { type: "filter", hook: "output", priority: -110, policy: "accept" }, rules: check },
    {
      name: "translate-arriving",
      base: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" },
      rules: translate([is("ip saddr", settings.podCIDR)]),
    },
    { name: "translate-own", base: { type: "nat", hook: "output", priority: -100, policy: "accept" }, rules: translate([]) },
    {
      name: "refuse-arriving",
      base: { type: "filter", hook: "prerouting", priority: -90, policy: "accept" },
      rules: [...namesRefusal(settings, REFUSE_CHAIN), ...refuse],
    },
    { name: "refuse-own", base: { type: "filter", hook: "output", priority: -90, policy: "accept" }, rules: refuse },
    {
      name: "valid",
      base: { type: "filter", hook: "forward", priority: -5, policy: "accept" },
      rules: [
        {
          matches: [is("ct state", "invalid")],
          statements: [{ kind: "drop" }],
          comment: "what belongs to no connection is not translated: a client that sees an endpoint's own address breaks off",
        },
      ],
    },
    { name: "source", base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" }, rules: masquerade(settings) },
  ];
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
      matches: [is("oifname", OWN_LINKS), is("ip saddr", "127.0.0.0/8")],
      statements: [{ kind: "masquerade" }],
      comment: "a pod cannot answer the node's loopback address",
    },
    {
      matches: [isNot("oifname", OWN_LINKS), is("ip saddr", settings.podCIDR)],
      statements: [{ kind: "masquerade" }],
      comment: "pod addresses are not known outside the cluster",
    },
    {
      matches: [isNot("oifname", OWN_LINKS), isNot("oifname", "lo"), is("ct status", "dnat")],
      statements: [{ kind: "masquerade" }],
      comment: "answers of an endpoint outside the pod network must come back through this node",
    },
  ];
}

/** Two Services with one address would make the kernel refuse everything: the first in order keeps it. */
function unclaimed<E extends SetElement>(elements: readonly E[], claimed: Set<string>): E[] {
  return elements.filter(({ key }) => {
    const text = key.join(" ");
    return !claimed.has(text) && claimed.add(text);
  });
}

/** Ranges of two Services with one address might overlap. */
function allowedSources(parts: readonly ServiceRules[]): SetElement[] {
  const port = ({ key }: SetElement) => key.slice(0, PORT_KEY.length).join(" ");
  const owners = new Map<string, ServiceRules>();
  const restricting = parts.filter(({ restricted }) => restricted.length > 0);
  for (const part of restricting) for (const element of part.restricted) if (!owners.has(port(element))) owners.set(port(element), part);
  return restricting.flatMap((part) => part.allowed.filter((element) => owners.get(port(element)) === part));
}

/**
 * Where nothing but Services is: whatever else is sent there is refused. Ranges must not overlap in an interval set. External
 * addresses may be a node's own, and are not among them.
 */
function addressElements(parts: readonly ServiceRules[], settings: NodeSettings): SetElement[] {
  const outside = new Set(parts.flatMap((part) => part.outsideAddresses));
  return [...serviceRanges(settings), ...[...outside].sort()].map((range) => ({ key: [range] }));
}
