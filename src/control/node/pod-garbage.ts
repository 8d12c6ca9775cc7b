/** Pods that nothing else will ever remove: of nodes that are gone, and being deleted before they had a node. */
import type { Pod } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import type { Controller } from "#control/control-api.ts";
import { isFinished } from "#control/pod-facts.ts";

/** Finished pods that are kept for their logs; Kubernetes keeps 12,500 a cluster, this cluster is one machine. */
const KEPT_FINISHED = 200;
const ALL_NODES = "pods of nodes that are gone";

export const podGarbage: Controller = {
  name: "pod garbage",
  watches: {
    Pod: (pod) => (isFinished(pod) || pod.metadata.deletionTimestamp !== undefined ? [objectKey(pod)] : []),
    Node: () => [ALL_NODES],
  },
  initially: [ALL_NODES],
  async reconcile({ world, writer }, key) {
    if (key === ALL_NODES) {
      const stranded = world.all("Pod").filter((pod) => hasNode(pod) && world.get("Node", pod.spec.nodeName ?? "") === undefined);
      for (const pod of stranded) await writer.remove("Pod", pod, { gracePeriodSeconds: 0 });
      return;
    }
    const pod = world.get("Pod", key);
    if (pod === undefined) return;
    // No runtime will confirm that its processes have ended: there are none.
    const neverRan = pod.metadata.deletionTimestamp !== undefined && !hasNode(pod);
    if (neverRan) return writer.remove("Pod", pod, { gracePeriodSeconds: 0 });
    if (!isFinished(pod)) return;
    const finished = world.all("Pod").filter(isFinished).sort(byAge);
    for (const old of finished.slice(0, Math.max(0, finished.length - KEPT_FINISHED))) await writer.remove("Pod", old, { gracePeriodSeconds: 0 });
  },
};

function hasNode(pod: Pod): boolean {
  return (pod.spec.nodeName ?? "") !== "";
}

function byAge(a: Pod, b: Pod): number {
  return (a.metadata.creationTimestamp ?? "") < (b.metadata.creationTimestamp ?? "") ? -1 : 1;
}
