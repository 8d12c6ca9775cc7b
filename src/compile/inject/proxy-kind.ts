/** Which proxy a pod has, by what stands in the pod itself. */
import type { Pod } from "#model/core.ts";

export const PROXY_CONTAINER = "istio-proxy";

const TEMPLATES = "inject.istio.io/templates";

export type ProxyKind = "sidecar" | "gateway";

/** Of a stored pod: an ordinary container in the embedded cluster and in gateways, a native sidecar on Kubernetes. */
export function proxyKindOf(pod: Pod): ProxyKind | undefined {
  const containers = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])];
  return containers.some((container) => container.name === PROXY_CONTAINER) ? askedKind(pod) : undefined;
}

/** What the pod asks for by its template; whether it gets a proxy at all is decided elsewhere. */
export function askedKind(pod: Pod): ProxyKind {
  const templates = (pod.metadata.annotations?.[TEMPLATES] ?? "").split(",").map((name) => name.trim());
  return templates.includes("gateway") ? "gateway" : "sidecar";
}
