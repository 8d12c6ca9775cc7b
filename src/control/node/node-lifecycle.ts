/**
 * A node whose agent is silent is not Ready, and its pods are not either: traffic must not go where nobody answers for it.
 * Becoming Ready again is said by the node itself.
 */
import type { Node } from "#model/core.ts";
import { nowText } from "#control/control-api.ts";
import type { Controller, ControllerContext } from "#control/control-api.ts";
import { isReady } from "#control/pod-facts.ts";

/** Kubernetes' node-monitor-grace-period; agents renew every 10 s. */
const GRACE_MS = 40_000;
const LEASES = "kube-node-lease";

export const nodeLifecycle: Controller = {
  name: "node lifecycle",
  watches: {
    Node: (node) => [node.metadata.name],
    Lease: (lease) => (lease.metadata.namespace === LEASES ? [lease.metadata.name] : []),
  },
  async reconcile(context, name) {
    const node = context.world.get("Node", name);
    if (node === undefined || !saysReady(node)) return;
    const renewed = lastSign(context, node);
    const leftMs = renewed + GRACE_MS - context.host.clock.now();
    if (leftMs > 0) return { againMs: leftMs };
    const message = "Kubelet stopped posting node status.";
    const now = nowText(context.host);
    await context.writer.patchStatus("Node", node, {
      conditions: [{ type: "Ready", status: "Unknown", reason: "NodeStatusUnknown", message, lastTransitionTime: now }],
    });
    context.events.record(node, { type: "Normal", reason: "NodeNotReady", message: `Node ${name} status is now: NodeNotReady` });
    const stranded = context.world.all("Pod").filter((pod) => pod.spec.nodeName === name && isReady(pod));
    await Promise.all(
      stranded.map((pod) =>
        context.writer.patchStatus("Pod", pod, {
          conditions: [{ type: "Ready", status: "False", reason: "NodeNotReady", message: `node ${name} is silent`, lastTransitionTime: now }],
        }),
      ),
    );
  },
};

function saysReady(node: Node): boolean {
  return node.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
}

/** The lease, or the heartbeat in the status of a node that has none yet. */
function lastSign({ world }: ControllerContext, node: Node): number {
  const lease = world.get("Lease", `${LEASES}/${node.metadata.name}`)?.spec?.renewTime;
  const ready = node.status?.conditions?.find((condition) => condition.type === "Ready");
  const heartbeat = ready?.lastHeartbeatTime ?? ready?.lastTransitionTime;
  return Math.max(lease === undefined ? 0 : Date.parse(lease), heartbeat === undefined ? 0 : Date.parse(heartbeat));
}
