/** Binds pods to nodes, and says on a pod why it has none. All waiting pods are one piece of work: they see each other. */
import type { Pod } from "#model/core.ts";
import { keyOf } from "#model/object.ts";
import { nowText } from "#control/control-api.ts";
import type { Controller, ControllerContext } from "#control/control-api.ts";
import { isFinished } from "#control/pod-facts.ts";
import { placePod } from "./place.ts";

const ALL = "waiting pods";

export const scheduler: Controller = {
  name: "scheduler",
  watches: { Pod: (pod) => (isWaiting(pod) || isFinished(pod) ? [ALL] : []), Node: () => [ALL] },
  async reconcile(context) {
    const nodes = context.world.all("Node");
    const pods = [...context.world.all("Pod")];
    const writes: Promise<void>[] = [];
    for (const [index, pod] of pods.entries()) {
      if (!isWaiting(pod)) continue;
      const placement = placePod(pod, nodes, pods);
      if ("node" in placement) {
        pods[index] = { ...pod, spec: { ...pod.spec, nodeName: placement.node } };
        writes.push(bind(context, pod, placement.node));
      } else {
        writes.push(refuse(context, pod, placement.refused));
      }
    }
    await Promise.all(writes);
  },
};

function isWaiting(pod: Pod): boolean {
  return (pod.spec.nodeName ?? "") === "" && pod.metadata.deletionTimestamp === undefined && !isFinished(pod) && (pod.spec.schedulingGates ?? []).length === 0;
}

async function bind({ writer, events }: ControllerContext, pod: Pod, node: string): Promise<void> {
  await writer.bind(pod, node);
  const name = keyOf(pod.metadata.namespace, pod.metadata.name);
  events.record(pod, { type: "Normal", reason: "Scheduled", message: `Successfully assigned ${name} to ${node}` });
}

async function refuse({ writer, events, host }: ControllerContext, pod: Pod, message: string): Promise<void> {
  const before = pod.status?.conditions?.find((condition) => condition.type === "PodScheduled");
  if (before?.status === "False" && before.message === message) return;
  const condition = { type: "PodScheduled", status: "False", reason: "Unschedulable", message, lastTransitionTime: nowText(host) };
  await writer.patchStatus("Pod", pod, { phase: pod.status?.phase ?? "Pending", conditions: [condition] });
  events.record(pod, { type: "Warning", reason: "FailedScheduling", message });
}
