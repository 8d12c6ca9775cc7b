/** ReplicaSets make pods and delete those too many. */
import { structurallyEqual } from "#lib/equal.ts";
import type { Pod } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import type { Controller, ControllerContext } from "#control/control-api.ts";
import { controllerKey, ownKey, splitKey } from "#control/owner-keys.ts";
import { isControlledBy } from "#control/pod-facts.ts";
import { newPod, planReplicas, replicaSetStatus } from "./replicas.ts";

/** So many pods at once; a set of thousands does not flood the API server. */
const BATCH = 50;

export const replicaSets: Controller = {
  name: "replica sets",
  concurrency: 8,
  watches: { ReplicaSet: ownKey, Pod: controllerKey("ReplicaSet") },
  async reconcile(context, key) {
    const set = context.world.get("ReplicaSet", key);
    if (set === undefined) return;
    const pods = (): Pod[] => context.world.inNamespace("Pod", splitKey(key).namespace).filter((pod) => isControlledBy(pod, set));
    const step = planReplicas(set, pods());
    const created = Array.from({ length: Math.min(step.create, BATCH) }, () => newPod(set, nameSuffix(context)));
    const removed = step.remove.slice(0, BATCH);
    try {
      await Promise.all([...created.map((pod) => context.writer.create("Pod", pod)), ...removed.map((pod) => context.writer.remove("Pod", pod))]);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      context.events.record(set, { type: "Warning", reason: created.length > 0 ? "FailedCreate" : "FailedDelete", message });
      throw error;
    }
    for (const pod of created) context.events.record(set, { type: "Normal", reason: "SuccessfulCreate", message: `Created pod: ${pod.metadata.name}` });
    for (const pod of removed) context.events.record(set, { type: "Normal", reason: "SuccessfulDelete", message: `Deleted pod: ${pod.metadata.name}` });
    const latest = context.world.get("ReplicaSet", objectKey(set));
    if (latest === undefined) return;
    const { status, againMs } = replicaSetStatus(latest, pods(), context.host.clock.now());
    if (!structurallyEqual(status, latest.status)) await context.writer.patchStatus("ReplicaSet", latest, status);
    if (step.create > BATCH || step.remove.length > BATCH) return { againMs: 0 };
    if (againMs !== undefined) return { againMs };
  },
};

/** Five letters, as Kubernetes appends to generateName. */
function nameSuffix({ host }: ControllerContext): string {
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  return Array.from({ length: 5 }, () => letters[Math.floor(host.random.next() * letters.length)]).join("");
}
