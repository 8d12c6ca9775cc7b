/** Who says that a proxy takes a pod's traffic over, or that none does. */
import { chooseInjection } from "#compile/inject/inject.ts";
import { workload } from "#compile/mesh/workload.ts";
import type { Pod } from "#model/core.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { hop, type Hop } from "#decide/why/answer.ts";

const INJECT = "sidecar.istio.io/inject";

/** Hops of the packet's walk know that it was taken over, not why. */
export function withInterceptor(hops: readonly Hop[], pod: Pod): readonly Hop[] {
  const by = decidedBy(pod);
  return hops.map((each) => (each.hop === "interception" && each.by === undefined ? { ...each, by } : each));
}

/** For a client's connection that no proxy took. */
export function notIntercepted(pod: Pod, protocol: "tcp" | "udp", world: WorldReader): Hop {
  if (protocol === "udp") return hop("interception", "none: proxies leave UDP alone", "modelled");
  if (workload(pod).proxy === "sidecar") {
    const field = 'metadata.annotations["traffic.sidecar.istio.io/…"]';
    return hop("interception", "none: an annotation, or that it stays in the pod, leaves it out", "modelled", { by: { ...objectOf(pod), field } });
  }
  const { inject, reason } = chooseInjection(pod, world.get("Namespace", pod.metadata.namespace ?? ""));
  // Injection happens when a pod is made: a label that came later changes nothing for it.
  const text =
    inject === undefined ? `none, the pod has no proxy: ${reason}` : `none, the pod has no proxy: it is older than what asks for one (${reason}); make it anew`;
  return hop("interception", text, "modelled", { by: decidedBy(pod) });
}

function objectOf({ metadata }: Pod): Omit<Provenance, "field"> {
  return { kind: "Pod", namespace: metadata.namespace ?? "", name: metadata.name };
}

/** The pod's own word goes before its namespace's. */
function decidedBy(pod: Pod): Provenance {
  const { labels = {}, annotations = {}, namespace = "" } = pod.metadata;
  if (labels[INJECT] !== undefined) return { ...objectOf(pod), field: `metadata.labels["${INJECT}"]` };
  if (annotations[INJECT] !== undefined) return { ...objectOf(pod), field: `metadata.annotations["${INJECT}"]` };
  if (pod.spec.hostNetwork === true) return { ...objectOf(pod), field: "spec.hostNetwork" };
  return { kind: "Namespace", name: namespace, field: 'metadata.labels["istio-injection"]' };
}
