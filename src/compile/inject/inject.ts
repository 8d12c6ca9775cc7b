/**
 * Sidecar injection: a Pod as it was sent -> the Pod as it is stored. Pure; runs inside admission of new Pods, so what is
 * stored says what runs. The container `istio-proxy` only announces the proxy (kubectl shows it, its readiness counts, its
 * logs can be asked for): what runs under that name is the runtime's own program, whatever command a user writes there.
 *
 * Labels, annotations and what they mean are Istio's: a namespace opts in by `istio-injection=enabled`, a pod in or out by
 * `sidecar.istio.io/inject`, and `inject.istio.io/templates: gateway` fills in a gateway's own container.
 */
import type { Namespace, Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";

export const PROXY_CONTAINER = "istio-proxy";
export const PROXY_IMAGE = "weft/proxy";

const STATUS = "sidecar.istio.io/status";
const INJECT = "sidecar.istio.io/inject";
const TEMPLATES = "inject.istio.io/templates";
/** Namespaces that the cluster itself lives in; Istio leaves them alone as well. */
const NEVER_INJECTED: readonly string[] = ["kube-system", "kube-public", "kube-node-lease"];

export type ProxyKind = "sidecar" | "gateway";

/** What injection would add; or why it adds nothing. */
export type InjectionChoice = { readonly inject: ProxyKind; readonly reason: string } | { readonly inject: undefined; readonly reason: string };

export function chooseInjection(pod: Pod, namespace: Namespace | undefined): InjectionChoice {
  const { labels = {}, annotations = {} } = pod.metadata;
  const own = labels[INJECT] ?? annotations[INJECT];
  const space = namespace?.metadata.labels?.["istio-injection"];
  const name = pod.metadata.namespace ?? namespace?.metadata.name ?? "default";
  if (pod.spec.hostNetwork === true) return { inject: undefined, reason: "spec.hostNetwork is true" };
  if (NEVER_INJECTED.includes(name)) return { inject: undefined, reason: `namespace ${name} is never injected` };
  if (own === "false") return { inject: undefined, reason: `${INJECT} is "false"` };
  const kind: ProxyKind = templatesOf(annotations).includes("gateway") ? "gateway" : "sidecar";
  if (own === "true") return { inject: kind, reason: `${INJECT} is "true"` };
  if (space === "enabled") return { inject: kind, reason: `Namespace ${name} has the label istio-injection=enabled` };
  return { inject: undefined, reason: `Namespace ${name} has no label istio-injection=enabled` };
}

/** The same pod when nothing is to be injected, or was already. */
export function injectProxy(pod: Pod, namespace: Namespace | undefined): Pod {
  if (pod.metadata.annotations?.[STATUS] !== undefined) return pod;
  const choice = chooseInjection(pod, namespace);
  if (choice.inject === undefined) return pod;
  const own = pod.spec.containers.find((container) => container.name === PROXY_CONTAINER);
  const others = pod.spec.containers.filter((container) => container !== own);
  const status = { initContainers: null, containers: [PROXY_CONTAINER], volumes: null, imagePullSecrets: null, revision: "default" };
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: { ...canonicalNames(pod), "security.istio.io/tlsMode": "istio", ...pod.metadata.labels },
      annotations: { ...pod.metadata.annotations, [STATUS]: JSON.stringify(status), "kubectl.kubernetes.io/default-container": defaultContainer(pod, others) },
    },
    spec: { ...pod.spec, containers: [proxyContainer(choice.inject, own), ...others] },
  };
}

/** A user's own container `istio-proxy` is where Istio lets people change resources, ports and environment: those stay. */
function proxyContainer(kind: ProxyKind, own: Container | undefined): Container {
  const { command: _command, ...kept } = own ?? { name: PROXY_CONTAINER };
  return {
    imagePullPolicy: "IfNotPresent",
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    ...kept,
    name: PROXY_CONTAINER,
    image: PROXY_IMAGE,
    args: ["proxy", kind === "gateway" ? "router" : "sidecar"],
    ports: own?.ports ?? [{ name: "http-envoy-prom", containerPort: 15090, protocol: "TCP" }],
    readinessProbe: own?.readinessProbe ?? {
      httpGet: { path: "/healthz/ready", port: 15021, scheme: "HTTP" },
      periodSeconds: 1,
      timeoutSeconds: 3,
      failureThreshold: 4,
      successThreshold: 1,
    },
  };
}

/** `kubectl logs POD` shows the application, as long as there is one. */
function defaultContainer(pod: Pod, others: readonly Container[]): string {
  return pod.metadata.annotations?.["kubectl.kubernetes.io/default-container"] ?? others[0]?.name ?? PROXY_CONTAINER;
}

/** Names under which telemetry shows a workload. */
function canonicalNames(pod: Pod): Record<string, string> {
  const labels = pod.metadata.labels ?? {};
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true)?.name;
  return {
    "service.istio.io/canonical-name": labels["app.kubernetes.io/name"] ?? labels["app"] ?? owner ?? pod.metadata.name,
    "service.istio.io/canonical-revision": labels["app.kubernetes.io/version"] ?? labels["version"] ?? "latest",
  };
}

/** What kind of proxy a stored pod has. */
export function proxyKindOf(pod: Pod): ProxyKind | undefined {
  if (!pod.spec.containers.some((container) => container.name === PROXY_CONTAINER)) return undefined;
  return templatesOf(pod.metadata.annotations ?? {}).includes("gateway") ? "gateway" : "sidecar";
}

function templatesOf(annotations: Readonly<Record<string, string>>): string[] {
  return (annotations[TEMPLATES] ?? "").split(",").map((name) => name.trim());
}
