/** Deployments make ReplicaSets and scale them, one step of a rollout at a time. */
import { structurallyEqual } from "#lib/equal.ts";
import type { Deployment, ReplicaSet } from "#model/apps.ts";
import { nowText } from "#control/control-api.ts";
import type { Controller, ControllerContext } from "#control/control-api.ts";
import { controllerKey, ownKey, splitKey } from "#control/owner-keys.ts";
import { isControlledBy } from "#control/pod-facts.ts";
import { limits, planRollout, replicasOf, REVISION } from "./rollout.ts";
import type { RolloutStep } from "./rollout.ts";
import { deploymentStatus } from "./status.ts";

/** How often a rollout that does not move is looked at for its deadline. */
const DEADLINE_CHECK_MS = 10_000;

export const deployments: Controller = {
  name: "deployments",
  concurrency: 8,
  watches: { Deployment: ownKey, ReplicaSet: controllerKey("Deployment") },
  async reconcile(context, key) {
    const deployment = context.world.get("Deployment", key);
    // What belongs to a deleted Deployment goes with it: the API server collects by owner.
    if (deployment === undefined || deployment.metadata.deletionTimestamp !== undefined) return;
    const sets = (): ReplicaSet[] => context.world.inNamespace("ReplicaSet", splitKey(key).namespace).filter((set) => isControlledBy(set, deployment));
    const step = planRollout(deployment, sets());
    await takeStep(context, deployment, step);
    const current = planRollout(deployment, sets()).current;
    const progressing = await writeStatus(context, context.world.get("Deployment", key), { sets: sets(), current });
    if (progressing) return { againMs: DEADLINE_CHECK_MS };
  },
};

async function takeStep({ writer, events }: ControllerContext, deployment: Deployment, step: RolloutStep): Promise<void> {
  if (step.create !== undefined) {
    await writer.create("ReplicaSet", step.create);
    events.record(deployment, {
      type: "Normal",
      reason: "ScalingReplicaSet",
      message: `Scaled up replica set ${step.create.metadata.name} from 0 to ${replicasOf(step.create)}`,
    });
  }
  for (const { set, replicas } of step.scale) {
    await writer.patch("ReplicaSet", set, { spec: { replicas } });
    const direction = replicas > replicasOf(set) ? "up" : "down";
    events.record(deployment, {
      type: "Normal",
      reason: "ScalingReplicaSet",
      message: `Scaled ${direction} replica set ${set.metadata.name} from ${replicasOf(set)} to ${replicas}`,
    });
  }
  for (const set of step.remove) await writer.remove("ReplicaSet", set);
  if (step.current !== undefined && step.current.metadata.annotations?.[REVISION] !== step.revision) {
    await writer.patch("ReplicaSet", step.current, { metadata: { annotations: { [REVISION]: step.revision } } });
  }
  if (deployment.metadata.annotations?.[REVISION] !== step.revision) {
    await writer.patch("Deployment", deployment, { metadata: { annotations: { [REVISION]: step.revision } } });
  }
}

/** True when the rollout has not ended. */
async function writeStatus(
  { writer, host }: ControllerContext,
  deployment: Deployment | undefined,
  of: { sets: ReplicaSet[]; current: ReplicaSet | undefined },
): Promise<boolean> {
  if (deployment === undefined) return false;
  const minAvailable = (deployment.spec.replicas ?? 1) - limits(deployment).maxUnavailable;
  const status = deploymentStatus(deployment, of.sets, { current: of.current, minAvailable, now: nowText(host) });
  if (!structurallyEqual(status, deployment.status)) await writer.patchStatus("Deployment", deployment, status);
  return status.conditions?.some((condition) => condition.reason === "ReplicaSetUpdated") ?? false;
}
