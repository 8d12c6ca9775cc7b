/**
 * The proxy as Kubernetes runs it: a native sidecar (a gateway: the pod's own container) from Weft's image, that starts
 * before and ends after all others, without any capability, under a uid that interception lets through. Probes of the
 * application are asked by the proxy (app-probes.ts): kubelet has no certificate, so a STRICT pod would refuse it.
 *
 * Webhooks are called again when another one changed the pod, and people create pods from what kubectl printed: all that
 * stands here already is recognised by what it is, never by the annotation that says so, which anybody could write.
 */
import { structurallyEqual } from "#lib/equal.ts";
import { SMALL_HEAP_OPTIONS } from "#model/config.ts";
import type { Pod } from "#model/core.ts";
import type { Container, EnvVar } from "#model/pod-parts.ts";
import { rewriteProbes } from "./app-probes.ts";
import type { Injection } from "./injection.ts";
import { keptOf } from "./own-container.ts";
import { injectedMetadata } from "./pod-metadata.ts";
import { PROXY_CONTAINER, type ProxyKind } from "./proxy-kind.ts";
import { PROXY_UID, refusals } from "./proxy-uid.ts";
import { proxySettings } from "./proxy-settings.ts";

const READY = { path: "/healthz/ready", port: 15021, scheme: "HTTP" } as const;
/** Ports below 1024 without a capability; a sysctl that Kubernetes calls safe. */
const LOW_PORTS = { name: "net.ipv4.ip_unprivileged_port_start", value: "0" };

export function kubernetesForm(pod: Pod, kind: ProxyKind, image: string): Injection {
  const settings = proxySettings(pod);
  const problems = [...refusals(pod), ...settings.problems];
  if (problems.length > 0) return { pod, problems, warnings: [] };
  const given = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(({ name }) => name === PROXY_CONTAINER);
  const { own, warnings: leftOut } = keptOf(given);
  const probes =
    kind === "sidecar" && settings.rewriteProbes
      ? rewriteProbes(pod, own)
      : { containers: others(pod.spec.containers), initContainers: others(pod.spec.initContainers), env: undefined, warnings: [] };
  const forced: EnvVar[] = [
    fromField("POD_NAME", "metadata.name"),
    fromField("POD_NAMESPACE", "metadata.namespace"),
    fromField("POD_UID", "metadata.uid"),
    fromField("POD_IP", "status.podIP"),
    fromField("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    { name: "WEFT_PROXY_KIND", value: kind },
    { name: "WEFT_POD_LABELS", value: JSON.stringify(injectedMetadata(pod, "containers").labels ?? {}) },
    ...(probes.env === undefined ? [] : [{ name: "WEFT_APP_PROBES", value: probes.env }]),
  ];
  const proxy = proxyContainer({ image, own, forced, resources: settings.resources });
  const spec: Pod["spec"] =
    kind === "gateway"
      ? { ...pod.spec, containers: [proxy, ...probes.containers], securityContext: withLowPorts(pod.spec.securityContext) }
      : { ...pod.spec, initContainers: [{ ...proxy, restartPolicy: "Always" }, ...probes.initContainers], containers: probes.containers };
  const injected: Pod = { ...pod, metadata: injectedMetadata(pod, kind === "gateway" ? "containers" : "initContainers"), spec };
  const warnings = [...settings.warnings, ...probes.warnings, ...leftOut, ...ownImage(own, image)];
  return { pod: structurallyEqual(injected, pod) ? pod : injected, problems: [], warnings };
}

function others(containers: readonly Container[] | undefined): readonly Container[] {
  return (containers ?? []).filter(({ name }) => name !== PROXY_CONTAINER);
}

function fromField(name: string, fieldPath: string): EnvVar {
  return { name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } };
}

interface ProxyParts {
  readonly image: string;
  readonly own: Container | undefined;
  readonly forced: readonly EnvVar[];
  readonly resources: NonNullable<Container["resources"]>;
}

function proxyContainer({ image, own, forced, resources }: ProxyParts): Container {
  const { restartPolicy: _restartPolicy, ...kept } = own ?? { name: PROXY_CONTAINER };
  const isForced = new Set(forced.map(({ name }) => name));
  const chosen = (own?.env ?? []).filter(({ name }) => !isForced.has(name) && name !== "WEFT_APP_PROBES");
  const env = [
    ...forced,
    ...(chosen.some(({ name }) => name === "NODE_OPTIONS") ? [] : [{ name: "NODE_OPTIONS", value: SMALL_HEAP_OPTIONS.join(" ") }]),
    ...chosen,
  ];
  const hasResources = Object.keys(own?.resources ?? {}).length > 0;
  return {
    ports: [{ name: "http-envoy-prom", containerPort: 15090, protocol: "TCP" }],
    // A container after this one starts when the proxy can carry its traffic: 10 minutes, longer than a control plane is gone.
    startupProbe: { httpGet: READY, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600 },
    readinessProbe: { httpGet: READY, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 4 },
    ...kept,
    name: PROXY_CONTAINER,
    image,
    // The API server has chosen one for whatever image stood there: "auto" is always pulled.
    imagePullPolicy: own?.image === image ? (own.imagePullPolicy ?? "IfNotPresent") : "IfNotPresent",
    args: ["sidecar"],
    env,
    resources: hasResources && own?.resources !== undefined ? own.resources : resources,
    securityContext: {
      runAsUser: PROXY_UID,
      runAsGroup: PROXY_UID,
      runAsNonRoot: true,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
}

function withLowPorts(given: Pod["spec"]["securityContext"]): NonNullable<Pod["spec"]["securityContext"]> {
  const sysctls = given?.sysctls ?? [];
  return sysctls.some(({ name }) => name === LOW_PORTS.name) ? { ...given } : { ...given, sysctls: [...sysctls, LOW_PORTS] };
}

/** "auto" is what Istio's gateways write there. */
function ownImage(own: Container | undefined, image: string): string[] {
  if (own?.image === undefined || ["", "auto", image].includes(own.image)) return [];
  return [`container ${PROXY_CONTAINER}: image ${own.image} is not used; the proxy runs from ${image}`];
}
