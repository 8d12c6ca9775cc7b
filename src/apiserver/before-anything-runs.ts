/**
 * A cluster that starts finds what it stored when it ran last: nodes that were Ready, pods that ran. None of them does
 * now, so their statuses say so until their node reports again; else `weft up`, endpoints and people took the past for
 * the present. Nodes that the cluster does not have any more go, and pods that were theirs (as Kubernetes' pod garbage
 * collector does), so that others are made elsewhere.
 */
import type { Node, Pod } from "#model/core.ts";
import type { Clock } from "#host/clock.ts";
import { objectKey } from "#model/object.ts";
import { timestamp } from "./registry.ts";
import type { Store } from "./store.ts";

export function forgetWhatRan(store: Pick<Store, "all" | "put" | "remove">, clock: Pick<Clock, "now">, nodes: readonly string[]): void {
  const now = timestamp(clock.now());
  const isGone = (node: string | undefined): boolean => node !== undefined && node !== "" && !nodes.includes(node);
  for (const object of [...store.all("Node")] as Node[]) {
    if (isGone(object.metadata.name)) store.remove("Node", objectKey(object));
    else store.put("Node", silentNode(object, now));
  }
  for (const lease of [...store.all("Lease")]) {
    if (lease.metadata.namespace === "kube-node-lease" && isGone(lease.metadata.name)) store.remove("Lease", objectKey(lease));
  }
  for (const pod of [...store.all("Pod")] as Pod[]) {
    const { phase } = pod.status ?? {};
    if (isGone(pod.spec.nodeName)) store.remove("Pod", objectKey(pod));
    // What ran to its end keeps its result.
    else if (phase !== "Succeeded" && phase !== "Failed") store.put("Pod", pendingPod(pod, now));
  }
}

function silentNode(node: Node, now: string): Node {
  const message = "the cluster was started again; this node has not reported since";
  const conditions = (node.status?.conditions ?? []).map((condition) =>
    condition.type === "Ready" ? { ...condition, status: "Unknown", reason: "NodeStatusUnknown", message, lastTransitionTime: now } : condition,
  );
  return { ...node, status: { ...node.status, conditions } };
}

/** As before its node saw it: scheduled, without addresses and containers. */
function pendingPod(pod: Pod, now: string): Pod {
  const scheduled = (pod.status?.conditions ?? []).filter(({ type }) => type === "PodScheduled");
  const message = "the cluster was started again; the pod's node has not started it yet";
  const notReady = { type: "Ready", status: "False", reason: "ClusterStarted", message, lastTransitionTime: now };
  return { ...pod, status: { phase: "Pending", conditions: [...scheduled, ...(scheduled.length === 0 ? [] : [notReady])] } };
}
