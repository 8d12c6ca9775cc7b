/** Which node a pod goes to. Pure: filters, then spreads. */
import type { Node, Pod } from "#model/core.ts";
import type { Requirement } from "#model/selectors.ts";
import { matchesLabels, matchesRequirements } from "#model/selectors.ts";
import { isFinished } from "#control/pod-facts.ts";

export type Placement = { readonly node: string } | { readonly refused: string };

/** `pods` are all pods: those that are bound count. */
export function placePod(pod: Pod, nodes: readonly Node[], pods: readonly Pod[]): Placement {
  const refusals = new Map<string, number>();
  const fitting = nodes.filter((node) => {
    const refusal = refusalOf(pod, node);
    if (refusal !== undefined) refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
    return refusal === undefined;
  });
  if (fitting.length === 0) {
    const reasons = [...refusals].sort(([a], [b]) => (a < b ? -1 : 1)).map(([reason, count]) => `${count} node(s) ${reason}`);
    return { refused: `0/${nodes.length} nodes are available${reasons.length === 0 ? "" : `: ${reasons.join(", ")}`}.` };
  }
  const owner = ownerOf(pod);
  const load = (node: Node): readonly [number, number, string] => {
    const bound = pods.filter((other) => other.spec.nodeName === node.metadata.name && !isFinished(other));
    return [bound.filter((other) => owner !== undefined && ownerOf(other) === owner).length, bound.length, node.metadata.name];
  };
  // Siblings apart first, so that a workload survives a node; then the emptiest node.
  const [best] = fitting.map((node) => ({ node, load: load(node) })).sort((a, b) => compare(a.load, b.load));
  return { node: best?.node.metadata.name ?? "" };
}

function refusalOf(pod: Pod, node: Node): string | undefined {
  if (!node.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True")) return "were not ready";
  if (node.spec?.unschedulable === true) return "were unschedulable";
  const taint = node.spec?.taints?.find((each) => each.effect !== "PreferNoSchedule" && !isTolerated(pod, each));
  if (taint !== undefined) return `had untolerated taint {${taint.key}: ${taint.value ?? ""}}`;
  if (!matchesLabels(pod.spec.nodeSelector, node.metadata.labels) || !matchesAffinity(pod, node)) return "didn't match Pod's node affinity/selector";
  return undefined;
}

function isTolerated(pod: Pod, taint: { readonly key: string; readonly value?: string; readonly effect: string }): boolean {
  return (pod.spec.tolerations ?? []).some(
    ({ key, operator = "Equal", value = "", effect }) =>
      (effect === undefined || effect === "" || effect === taint.effect) &&
      (key === undefined || key === "" ? operator === "Exists" : key === taint.key && (operator === "Exists" || value === (taint.value ?? ""))),
  );
}

interface NodeTerm {
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
  readonly matchFields?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}

/** Terms are alternatives; a term without expressions matches nothing. */
function matchesAffinity(pod: Pod, node: Node): boolean {
  const required = (
    pod.spec.affinity as { nodeAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms?: readonly NodeTerm[] } } } | undefined
  )?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined) return true;
  const complete = (each: { key: string; operator: string; values?: readonly string[] }): Requirement => ({ ...each, values: each.values ?? [] });
  return (required.nodeSelectorTerms ?? []).some(
    ({ matchExpressions = [], matchFields = [] }) =>
      matchExpressions.length + matchFields.length > 0 &&
      matchesRequirements(matchExpressions.map(complete), node.metadata.labels) &&
      matchesRequirements(matchFields.map(complete), { "metadata.name": node.metadata.name }),
  );
}

function ownerOf(pod: Pod): string | undefined {
  return pod.metadata.ownerReferences?.find((reference) => reference.controller === true)?.uid;
}

function compare(a: readonly [number, number, string], b: readonly [number, number, string]): number {
  return a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : 1);
}
