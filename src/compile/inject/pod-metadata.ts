/** Labels and annotations that injection adds to a pod: telemetry, mTLS and kubectl read them. */
import type { Pod } from "#model/core.ts";
import { PROXY_CONTAINER } from "./proxy-kind.ts";

export const STATUS_ANNOTATION = "sidecar.istio.io/status";
const DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container";

/** `role`: the list of spec that the proxy's container stands in. */
export function injectedMetadata(pod: Pod, role: "containers" | "initContainers"): Pod["metadata"] {
  const added = { initContainers: null, containers: null, volumes: null, imagePullSecrets: null, revision: "default", [role]: [PROXY_CONTAINER] };
  return {
    ...pod.metadata,
    labels: { ...canonicalNames(pod), "security.istio.io/tlsMode": "istio", ...pod.metadata.labels },
    annotations: { ...pod.metadata.annotations, [STATUS_ANNOTATION]: JSON.stringify(added), [DEFAULT_CONTAINER]: defaultContainer(pod) },
  };
}

/** `kubectl logs POD` shows the application, as long as there is one. */
function defaultContainer(pod: Pod): string {
  const application = pod.spec.containers.find(({ name }) => name !== PROXY_CONTAINER);
  return pod.metadata.annotations?.[DEFAULT_CONTAINER] ?? application?.name ?? PROXY_CONTAINER;
}

/** Names under which telemetry shows a workload. A pod of a controller has no name yet when it is admitted. */
function canonicalNames(pod: Pod): Record<string, string> {
  const { labels = {}, name, generateName } = pod.metadata;
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true)?.name;
  const own = name ?? generateName?.replace(/-$/, "") ?? "unknown";
  return {
    "service.istio.io/canonical-name": labels["app.kubernetes.io/name"] ?? labels["app"] ?? owner ?? own,
    "service.istio.io/canonical-revision": labels["app.kubernetes.io/version"] ?? labels["version"] ?? "latest",
  };
}
