/** Nodes and pods of a cluster, as the demo lists them. */
import { hasCondition } from "#cli/up/waiting.ts";
import type { Node, Pod } from "#model/core.ts";
import type { Seen } from "./world.ts";

export function seenOf(nodes: readonly Node[], pods: readonly Pod[]): { readonly nodes: readonly Seen[]; readonly pods: readonly Seen[] } {
  return {
    nodes: nodes.map((node) => seen(node.metadata.name, "", hasCondition(node.status?.conditions, "Ready"), undefined)),
    pods: pods.map((pod) =>
      seen(`${pod.metadata.namespace ?? ""}/${pod.metadata.name}`, pod.spec?.nodeName ?? "", hasCondition(pod.status?.conditions, "Ready"), pod.spec?.nodeName),
    ),
  };
}

function seen(name: string, where: string, ready: boolean, node: string | undefined): Seen {
  return { text: `${name.padEnd(50)} ${where.padEnd(8)} ${ready ? "Ready" : "not Ready"}`, ready, node };
}

/** Of a pod of Bookinfo that is on another node than the visitor. */
export function addressAcross(pods: readonly Pod[]): string {
  const visitor = pods.find(({ metadata }) => metadata.namespace === "visitors");
  const across = pods.find(({ metadata, spec }) => metadata.namespace === "default" && spec.nodeName !== visitor?.spec.nodeName);
  return across?.status?.podIP ?? "no pod on the other node";
}
