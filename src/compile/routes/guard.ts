/** What must not enter a node: packets of pods that claim to be somebody else, and tunnel packets that no node sent. */
import { VXLAN_DEVICE, VXLAN_PORT, DROP_LOG_GROUP } from "#compile/node/settings.ts";
import { is, isNot, notInSet, type Rule, type Table } from "#lib/nft-ruleset.ts";
import type { DropReason, PodWiring } from "#model/plan/node-plan.ts";

export const GUARD_TABLE = "weft-guard";

const SPOOFED = "weft spoofed";
const FORGED = "weft forged";
const LOOPBACK = "weft loopback";

/** NFLOG prefixes of this table. */
export const GUARD_DROPS: Readonly<Record<string, DropReason>> = {
  [SPOOFED]: { direction: "egress", policies: [], text: "a pod sent from an address or MAC that is not its own" },
  [LOOPBACK]: { direction: "egress", policies: [], text: "a pod sent to its node's loopback address" },
  [FORGED]: { direction: "egress", policies: [], text: "a pod sent a tunnel packet, which only nodes do" },
};

export function guardTable(pods: readonly PodWiring[], nodeAddresses: readonly string[]): Table {
  const log = (prefix: string): Rule["statements"] => [{ kind: "log", prefix, group: DROP_LOG_GROUP }, { kind: "drop" }];
  return {
    family: "ip",
    name: GUARD_TABLE,
    sets: [
      {
        name: "sources",
        key: ["iifname", "ether saddr", "ip saddr"],
        interval: false,
        elements: pods.map((pod) => ({ key: [pod.hostLink, pod.podMac, pod.ip], comment: `Pod ${pod.uid}` })),
      },
      { name: "nodes", key: ["ip saddr"], interval: false, elements: nodeAddresses.map((address) => ({ key: [address] })) },
    ],
    maps: [],
    chains: [
      {
        name: "arriving",
        // Before conntrack (-200): what is refused here makes no entry.
        base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
        rules: [
          { matches: [is("iifname", VXLAN_DEVICE)], statements: [{ kind: "accept" }], comment: "checked where it entered the cluster" },
          {
            matches: [is("iifname", "weft*"), is("meta l4proto", "udp"), is("th dport", String(VXLAN_PORT))],
            statements: log(FORGED),
            comment: "pods send no tunnel packets",
          },
          {
            // Links of pods with a port on the node's loopback let such addresses pass, for answers of these pods.
            matches: [is("iifname", "weft*"), is("ip daddr", "127.0.0.0/8")],
            statements: log(LOOPBACK),
            comment: "the node's loopback address is nobody else's",
          },
          {
            matches: [is("iifname", "weft*"), notInSet(["iifname", "ether saddr", "ip saddr"], "sources")],
            statements: log(SPOOFED),
            comment: "a pod sends only from its own address and MAC",
          },
        ],
      },
      {
        name: "own",
        base: { type: "filter", hook: "input", priority: -10, policy: "accept" },
        rules: [
          {
            matches: [isNot("iifname", "lo"), is("meta l4proto", "udp"), is("th dport", String(VXLAN_PORT)), notInSet(["ip saddr"], "nodes")],
            statements: [{ kind: "drop" }],
            comment: "tunnel packets come from nodes only",
          },
        ],
      },
    ],
  };
}
