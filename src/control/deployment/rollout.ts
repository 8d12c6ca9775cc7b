/**
 * One step of a rollout, as a value: which ReplicaSet to make, which to scale. Pure; the same numbers as Kubernetes'
 * deployment controller. Called again after every change, it ends when there is nothing left to do.
 */
import { createHash } from "node:crypto";
import type { Deployment, ReplicaSet } from "#model/apps.ts";
import { controllerReference } from "#control/pod-facts.ts";

export const REVISION = "deployment.kubernetes.io/revision";
export const TEMPLATE_HASH = "pod-template-hash";
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

export interface RolloutStep {
  /** The set of the current template; undefined: `create` it first. */
  readonly current: ReplicaSet | undefined;
  readonly create: ReplicaSet | undefined;
  readonly scale: readonly { readonly set: ReplicaSet; readonly replicas: number }[];
  readonly remove: readonly ReplicaSet[];
  /** Of the current set, and so of the Deployment. */
  readonly revision: string;
}

/** `sets` are those that the Deployment controls. */
export function planRollout(deployment: Deployment, sets: readonly ReplicaSet[]): RolloutStep {
  const oldestFirst = [...sets].sort(byAge);
  const current = oldestFirst.find((set) => set.metadata.labels?.[TEMPLATE_HASH] === templateHash(deployment));
  const old = oldestFirst.filter((set) => set !== current);
  const revisions = old.map(revisionOf);
  const revision = String(Math.max(current === undefined ? 0 : revisionOf(current), revisions.length === 0 ? 1 : Math.max(...revisions) + 1));
  const step = { current, create: undefined, scale: [], remove: [], revision };
  if (deployment.spec.paused === true) return { ...step, scale: scalePaused(deployment, oldestFirst) };
  const wanted = deployment.spec.replicas ?? 1;
  if (deployment.spec.strategy?.type === "Recreate") {
    const running = old.filter((set) => replicasOf(set) > 0);
    if (running.length > 0) return { ...step, scale: running.map((set) => ({ set, replicas: 0 })) };
    // The new pods start only when the old ones are gone, not when they are told to go.
    if (old.some((set) => (set.status?.replicas ?? 0) > 0 || (set.status?.terminatingReplicas ?? 0) > 0)) return step;
    if (current === undefined) return { ...step, create: newReplicaSet(deployment, wanted, revision) };
    return { ...step, scale: replicasOf(current) === wanted ? [] : [{ set: current, replicas: wanted }], remove: surplus(deployment, old) };
  }
  const { maxSurge, maxUnavailable } = limits(deployment);
  const total = sum(sets, replicasOf);
  if (current === undefined) return { ...step, create: newReplicaSet(deployment, Math.max(0, Math.min(wanted, wanted + maxSurge - total)), revision) };
  const scale: { set: ReplicaSet; replicas: number }[] = [];
  const has = replicasOf(current);
  const grown = has >= wanted ? wanted : has + Math.max(0, Math.min(wanted + maxSurge - total, wanted - has));
  if (grown !== has) scale.push({ set: current, replicas: grown });
  scale.push(...scaleDownOld(old, { minAvailable: wanted - maxUnavailable, total, current }));
  return { ...step, scale, remove: surplus(deployment, old) };
}

/** Of the template alone: the same template finds its old ReplicaSet again (rollback). */
export function templateHash(deployment: Deployment): string {
  const digest = createHash("sha256")
    .update(JSON.stringify(sorted(deployment.spec.template)))
    .digest();
  // Kubernetes' alphabet for generated names: no vowels, nothing that looks like another letter.
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  return [...digest.subarray(0, 10)].map((byte) => letters[byte % letters.length]).join("");
}

/** Percentages of the replicas: surge rounds up, unavailable down; both 0 would never move. */
export function limits(deployment: Deployment): { maxSurge: number; maxUnavailable: number } {
  const wanted = deployment.spec.replicas ?? 1;
  const { maxSurge = "25%", maxUnavailable = "25%" } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = share(maxSurge, wanted, Math.ceil);
  const unavailable = share(maxUnavailable, wanted, Math.floor);
  return surge === 0 && unavailable === 0 ? { maxSurge: 0, maxUnavailable: 1 } : { maxSurge: surge, maxUnavailable: Math.min(unavailable, wanted) };
}

function share(value: number | string, of: number, round: (n: number) => number): number {
  if (typeof value === "number") return value;
  return value.endsWith("%") ? round((Number.parseInt(value, 10) / 100) * of) : Number.parseInt(value, 10) || 0;
}

/** First those that do not work anyway, then as many as may be missed; oldest sets first. */
function scaleDownOld(old: readonly ReplicaSet[], { minAvailable, total, current }: { minAvailable: number; total: number; current: ReplicaSet }) {
  const replicas = new Map(old.map((set) => [set, replicasOf(set)]));
  let mayGo = total - minAvailable - Math.max(0, replicasOf(current) - availableOf(current));
  for (const set of old) {
    const broken = Math.min(Math.max(0, mayGo), Math.max(0, replicasOf(set) - availableOf(set)));
    replicas.set(set, (replicas.get(set) ?? 0) - broken);
    mayGo -= broken;
  }
  let spare = Math.min(Math.max(0, mayGo), sum(old, availableOf) + availableOf(current) - minAvailable);
  for (const set of old) {
    const gone = Math.min(Math.max(0, spare), replicas.get(set) ?? 0);
    replicas.set(set, (replicas.get(set) ?? 0) - gone);
    spare -= gone;
  }
  return [...replicas].flatMap(([set, count]) => (count === replicasOf(set) ? [] : [{ set, replicas: count }]));
}

/** A paused Deployment still has the number of replicas that it says: the youngest set that runs makes up the difference. */
function scalePaused(deployment: Deployment, oldestFirst: readonly ReplicaSet[]) {
  const running = oldestFirst.filter((set) => replicasOf(set) > 0);
  const youngest = running.at(-1) ?? oldestFirst.at(-1);
  if (youngest === undefined) return [];
  const others = sum(oldestFirst, replicasOf) - replicasOf(youngest);
  const replicas = Math.max(0, (deployment.spec.replicas ?? 1) - others);
  return replicas === replicasOf(youngest) ? [] : [{ set: youngest, replicas }];
}

function surplus(deployment: Deployment, old: readonly ReplicaSet[]): ReplicaSet[] {
  const idle = old.filter((set) => replicasOf(set) === 0 && (set.status?.replicas ?? 0) === 0 && set.metadata.deletionTimestamp === undefined);
  const keep = deployment.spec.revisionHistoryLimit ?? 10;
  return idle.sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, Math.max(0, idle.length - keep));
}

function newReplicaSet(deployment: Deployment, replicas: number, revision: string): ReplicaSet {
  const hash = templateHash(deployment);
  const { template, selector, minReadySeconds } = deployment.spec;
  const labels = { ...template.metadata?.labels, [TEMPLATE_HASH]: hash };
  const { [LAST_APPLIED]: _, ...annotations } = deployment.metadata.annotations ?? {};
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      ...(deployment.metadata.namespace === undefined ? {} : { namespace: deployment.metadata.namespace }),
      labels,
      annotations: { ...annotations, [REVISION]: revision },
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [TEMPLATE_HASH]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } as typeof template.metadata & object },
    },
  };
}

export function replicasOf(set: ReplicaSet): number {
  return set.spec.replicas ?? 1;
}

export function availableOf(set: ReplicaSet): number {
  return Math.min(replicasOf(set), set.status?.availableReplicas ?? 0);
}

export function revisionOf(set: ReplicaSet): number {
  return Number.parseInt(set.metadata.annotations?.[REVISION] ?? "0", 10) || 0;
}

export function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function byAge(a: ReplicaSet, b: ReplicaSet): number {
  const [left, right] = [a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? ""];
  return left === right ? revisionOf(a) - revisionOf(b) : left < right ? -1 : 1;
}

/** Keys in order, so that the hash is of the content and not of how it was written. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => [key, sorted(field)]),
  );
}
