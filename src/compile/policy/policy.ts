/**
 * The table of NetworkPolicies. Isolation is a property of a pod and a direction: a verdict map leads from the pod's
 * address to its chain, which tries its policies' chains and then logs and drops. Egress is decided before ingress, in
 * two base chains of the forward hook, so that `accept` in one leaves the other its say; packets of a pod to the node
 * itself pass the input hook. What the node sends (probes) passes neither.
 *
 * Each packet from who opened a connection is decided anew, and answers pass by conntrack: when a policy no longer allows a
 * connection that is open, it is cut off (Kubernetes leaves that to the implementation), and all others notice nothing.
 */
import { comment, nftName } from "#compile/node/naming.ts";
import type { NodeReader } from "#compile/node/pods.ts";
import { DROP_LOG_GROUP, type LocalPod, type NodeSettings } from "#compile/node/settings.ts";
import { inSet, is, isNot, type Chain, type MapElement, type Rule, type SetElement, type Table } from "#lib/nft-ruleset.ts";
import { objectKey } from "#model/object.ts";
import type { DropReason } from "#model/plan/node-plan.ts";
import { formatProvenance, type Provenance } from "#model/provenance.ts";
import { policyChain, type PolicyRules } from "./policy-rules.ts";
import { isolates, selects, type Direction } from "./selection.ts";

export const POLICY_TABLE = "weft-policy";

/** How policies isolate one pod in one direction. */
export interface Isolation {
  readonly direction: Direction;
  readonly element: MapElement;
  readonly chain: Chain;
  readonly prefix: string;
  readonly drop: DropReason;
  /** Keys of policies whose chains are jumped to. */
  readonly policies: readonly string[];
}

/**
 * Nothing for a pod that no policy selects. A pod that is wired and whose object is gone (deleted by force, or another has
 * its name by now) still runs for a moment, and nothing says any more which policies are its own: it talks to nobody.
 */
export function compileIsolation(reader: NodeReader, local: LocalPod): Isolation[] {
  const found = reader.get("Pod", `${local.namespace}/${local.name}`);
  const pod = local.netns !== undefined && found?.metadata.uid !== local.uid ? undefined : found;
  if (pod === undefined) return local.netns === undefined ? [] : (["ingress", "egress"] as const).map((direction) => orphaned(local, direction));
  const policies = reader.inNamespace("NetworkPolicy", local.namespace).filter((policy) => selects(policy, pod));
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const isolating = policies.filter((policy) => isolates(policy, direction));
    if (isolating.length === 0) return [];
    const keys = isolating.map(objectKey);
    const by = isolating.map((policy): Provenance => ({ kind: "NetworkPolicy", namespace: local.namespace, name: policy.metadata.name, field: "" }));
    return [isolation(local, direction, keys, by)];
  });
}

function orphaned(local: LocalPod, direction: Direction): Isolation {
  const by: Provenance = { kind: "Pod", namespace: local.namespace, name: local.name, field: "metadata.uid" };
  const made = isolation(local, direction, [], [by]);
  return { ...made, drop: { ...made.drop, policies: [], text: `the object of this pod (uid ${local.uid}) is gone, and it still runs` } };
}

function isolation(local: LocalPod, direction: Direction, keys: readonly string[], policies: readonly Provenance[]): Isolation {
  const name = nftName(`${direction}-pod-${local.ip}`);
  const prefix = `weft ${direction} ${local.ip}`;
  const rules: Rule[] = keys.map((key, i) => {
    const by = policies[i];
    const rule: Rule = { matches: [], statements: [{ kind: "jump", chain: policyChain(key, direction) }] };
    return by === undefined ? rule : { ...rule, comment: comment(formatProvenance(by)) };
  });
  const pod = { namespace: local.namespace, name: local.name };
  const names = policies.map(formatProvenance).join(", ");
  rules.push({
    matches: [],
    statements: [{ kind: "log", prefix, group: DROP_LOG_GROUP }, { kind: "drop" }],
    comment: comment(`no rule allows it: ${names}`),
  });
  return {
    direction,
    element: { key: [local.ip], value: { kind: "goto", chain: name }, comment: comment(`Pod ${pod.namespace}/${pod.name}`) },
    chain: { name, rules },
    prefix,
    drop: { direction, pod, policies, text: `isolated for ${direction} by ${names}, and no rule allows it` },
    policies: keys,
  };
}

/** `selves`: (address, address) of the node's pods. */
export function policyTable(
  policies: ReadonlyMap<string, PolicyRules>,
  isolations: readonly Isolation[],
  selves: readonly SetElement[],
  settings: Pick<NodeSettings, "dnsAddress" | "namesPort">,
): Table {
  const used = new Set(isolations.flatMap((each) => each.policies.map((key) => policyChain(key, each.direction))));
  const chains = [...policies.values()].flatMap((part) => part.chains).filter(({ name }) => used.has(name));
  const setNames = new Set(
    chains.flatMap(({ rules }) => rules.flatMap(({ matches }) => matches.flatMap((match) => (match.kind === "set" ? [match.set] : [])))),
  );
  const elements = (direction: Direction) => isolations.filter((each) => each.direction === direction).map((each) => each.element);
  return {
    family: "ip",
    name: POLICY_TABLE,
    sets: [
      { name: "selves", key: ["ip saddr", "ip daddr"], interval: false, elements: selves },
      ...[...policies.values()].flatMap((part) => part.sets).filter(({ name }) => setNames.has(name)),
    ],
    maps: [
      { name: "egress", key: ["ip saddr"], numbered: false, data: "verdict", elements: elements("egress") },
      { name: "ingress", key: ["ip daddr"], numbered: false, data: "verdict", elements: elements("ingress") },
    ],
    chains: [
      ...chains,
      ...isolations.map((each) => each.chain),
      { name: "egress-forward", base: { type: "filter", hook: "forward", priority: 0, policy: "accept" }, rules: check("egress") },
      { name: "ingress-forward", base: { type: "filter", hook: "forward", priority: 10, policy: "accept" }, rules: check("ingress") },
      ...toTheNode(settings),
    ],
  };
}

/**
 * Questions to the cluster's DNS get another port on their way in (compile/services/names-port.ts), and policies speak of the
 * port that was asked: they are decided before (-100), each packet anew as all others.
 */
function toTheNode({ dnsAddress, namesPort }: Pick<NodeSettings, "dnsAddress" | "namesPort">): Chain[] {
  const input = { type: "filter", hook: "input", priority: 0, policy: "accept" } as const;
  if (namesPort === undefined) return [{ name: "egress-input", base: input, rules: check("egress") }];
  const prerouting = { type: "filter", hook: "prerouting", priority: -105, policy: "accept" } as const;
  const decide: Rule["statements"] = [{ kind: "goto", chain: "egress-to-node" }];
  return [
    { name: "egress-to-node", rules: check("egress") },
    { name: "egress-names", base: prerouting, rules: [{ matches: [is("ip daddr", dnsAddress)], statements: decide }] },
    { name: "egress-input", base: input, rules: [{ matches: [isNot("ip daddr", dnsAddress)], statements: decide }] },
  ];
}

function check(direction: Direction): Rule[] {
  return [
    { matches: [is("ct direction", "reply")], statements: [{ kind: "accept" }], comment: "answers to what is allowed" },
    { matches: [is("ct state", "related")], statements: [{ kind: "accept" }], comment: "errors about what is allowed" },
    { matches: [inSet(["ip saddr", "ip daddr"], "selves")], statements: [{ kind: "accept" }], comment: "a pod always reaches itself" },
    { matches: [], statements: [{ kind: "vmap", fields: [direction === "egress" ? "ip saddr" : "ip daddr"], map: direction }] },
  ];
}
