/** How many pods a ReplicaSet lacks, or which of them go; and its status. Pure. */
import type { ReplicaSet } from "#model/apps.ts";
import type { Pod } from "#model/core.ts";
import { availability, controllerReference, isActive, isReady } from "#control/pod-facts.ts";

export interface ReplicaStep {
  readonly create: number;
  readonly remove: readonly Pod[];
}

/** `pods` are those that the set controls. */
export function planReplicas(set: ReplicaSet, pods: readonly Pod[]): ReplicaStep {
  if (set.metadata.deletionTimestamp !== undefined) return { create: 0, remove: [] };
  const active = pods.filter(isActive);
  const missing = (set.spec.replicas ?? 1) - active.length;
  if (missing >= 0) return { create: missing, remove: [] };
  return { create: 0, remove: active.sort(leastMissedFirst).slice(0, -missing) };
}

/** As Kubernetes chooses: not assigned, not running, not ready, then the youngest. */
function leastMissedFirst(a: Pod, b: Pod): number {
  const rank = (pod: Pod): number => ((pod.spec.nodeName ?? "") === "" ? 0 : pod.status?.phase !== "Running" ? 1 : isReady(pod) ? 3 : 2);
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  const [left, right] = [a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? ""];
  if (left !== right) return left < right ? 1 : -1;
  return a.metadata.name < b.metadata.name ? 1 : -1;
}

export function newPod(set: ReplicaSet, suffix: string): Pod {
  const { template } = set.spec;
  if (template === undefined) throw new Error(`ReplicaSet ${set.metadata.namespace ?? ""}/${set.metadata.name} has no spec.template`);
  const { labels = {}, annotations = {} } = template.metadata ?? {};
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${set.metadata.name}-${suffix}`,
      generateName: `${set.metadata.name}-`,
      ...(set.metadata.namespace === undefined ? {} : { namespace: set.metadata.namespace }),
      labels,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ownerReferences: [controllerReference(set)],
    },
    spec: template.spec,
  };
}

export function replicaSetStatus(
  set: ReplicaSet,
  pods: readonly Pod[],
  nowMs: number,
): { status: NonNullable<ReplicaSet["status"]>; againMs: number | undefined } {
  const active = pods.filter(isActive);
  const available = active.map((pod) => availability(pod, set.spec.minReadySeconds ?? 0, nowMs));
  const waits = available.filter((each) => typeof each === "number");
  const wanted = Object.entries(set.spec.template?.metadata?.labels ?? {});
  return {
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.filter((pod) => wanted.every(([key, value]) => pod.metadata.labels?.[key] === value)).length,
      readyReplicas: active.filter(isReady).length,
      availableReplicas: available.filter((each) => each === "available").length,
      terminatingReplicas: pods.filter((pod) => pod.metadata.deletionTimestamp !== undefined).length,
      observedGeneration: set.metadata.generation ?? 0,
    },
    againMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
}
