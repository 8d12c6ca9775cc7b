/** A Deployment's status: what `kubectl rollout status` waits for. Pure. */
import type { Deployment, ReplicaSet } from "#model/apps.ts";
import { sum } from "./rollout.ts";

type Status = NonNullable<Deployment["status"]>;
type Condition = NonNullable<Status["conditions"]>[number];

export function deploymentStatus(
  deployment: Deployment,
  sets: readonly ReplicaSet[],
  at: { current: ReplicaSet | undefined; minAvailable: number; now: string },
): Status {
  const { current, now } = at;
  const replicas = sum(sets, (set) => set.status?.replicas ?? 0);
  const available = sum(sets, (set) => set.status?.availableReplicas ?? 0);
  const wanted = deployment.spec.replicas ?? 1;
  const counts = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas,
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(sets, (set) => set.status?.readyReplicas ?? 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available, replicas - available),
    terminatingReplicas: sum(sets, (set) => set.status?.terminatingReplicas ?? 0),
  };
  const conditions = [availableCondition(available >= at.minAvailable, now), progressing(deployment, counts, at)];
  return { ...counts, conditions: conditions.map((condition) => withTimes(condition, deployment.status?.conditions, now)) };
}

function availableCondition(isAvailable: boolean, now: string): Condition {
  const times = { lastTransitionTime: now, lastUpdateTime: now };
  return isAvailable
    ? { type: "Available", status: "True", reason: "MinimumReplicasAvailable", message: "Deployment has minimum availability.", ...times }
    : { type: "Available", status: "False", reason: "MinimumReplicasUnavailable", message: "Deployment does not have minimum availability.", ...times };
}

function progressing(deployment: Deployment, counts: Status, { current, now }: { current: ReplicaSet | undefined; now: string }): Condition {
  const base = { type: "Progressing", lastTransitionTime: now, lastUpdateTime: now };
  if (deployment.spec.paused === true) return { ...base, status: "Unknown", reason: "DeploymentPaused", message: "Deployment is paused" };
  const name = current?.metadata.name ?? "";
  const wanted = deployment.spec.replicas ?? 1;
  const isDone = current !== undefined && counts.updatedReplicas === wanted && counts.replicas === wanted && counts.availableReplicas === wanted;
  if (isDone) return { ...base, status: "True", reason: "NewReplicaSetAvailable", message: `ReplicaSet "${name}" has successfully progressed.` };
  const before = deployment.status?.conditions?.find((condition) => condition.type === "Progressing");
  const deadlineMs = (deployment.spec.progressDeadlineSeconds ?? 600) * 1000;
  const isSameRollout = before?.message?.includes(`"${name}"`) === true && before.reason !== "NewReplicaSetAvailable";
  const hasMoved = counts.updatedReplicas !== deployment.status?.updatedReplicas || counts.availableReplicas !== deployment.status?.availableReplicas;
  const quietSince = Date.parse(before?.lastUpdateTime ?? now);
  if (isSameRollout && !hasMoved && Date.parse(now) - quietSince >= deadlineMs) {
    return { ...base, status: "False", reason: "ProgressDeadlineExceeded", message: `ReplicaSet "${name}" has timed out progressing.` };
  }
  return {
    ...base,
    status: "True",
    reason: "ReplicaSetUpdated",
    message: `ReplicaSet "${name}" is progressing.`,
    ...(hasMoved ? { lastUpdateTime: now } : {}),
  };
}

/** A condition that says the same keeps its times: or every look at it would be a write. */
function withTimes(condition: Condition, before: Status["conditions"], now: string): Condition {
  const known = before?.find((other) => other.type === condition.type);
  if (known === undefined) return condition;
  const isSame = known.status === condition.status && known.reason === condition.reason && known.message === condition.message;
  return {
    ...condition,
    lastUpdateTime: isSame ? (known.lastUpdateTime ?? now) : now,
    lastTransitionTime: known.status === condition.status ? (known.lastTransitionTime ?? now) : now,
  };
}
