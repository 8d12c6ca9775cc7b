/** What controllers ask of a pod. */
import type { Pod } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
}

/** Ended for good: its processes will not run again. */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

/** Counts as one of a ReplicaSet's replicas. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

/** Ready since at least `minReadySeconds`; a number is how many milliseconds are missing. */
export function availability(pod: Pod, minReadySeconds: number, nowMs: number): "available" | "not ready" | number {
  if (!isReady(pod)) return "not ready";
  if (minReadySeconds === 0) return "available";
  const since = pod.status?.conditions?.find((condition) => condition.type === "Ready")?.lastTransitionTime;
  const missingMs = (since === undefined ? nowMs : Date.parse(since)) + minReadySeconds * 1000 - nowMs;
  return missingMs <= 0 ? "available" : missingMs;
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return object.metadata.ownerReferences?.some((reference) => reference.controller === true && reference.uid === owner.metadata.uid) ?? false;
}

export function controllerReference(owner: KubeObject) {
  const { name, uid = "" } = owner.metadata;
  return { apiVersion: owner.apiVersion, kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: true };
}
