/**
 * The proxy as the embedded cluster stores it: a container that announces it (kubectl shows it, its readiness counts, its
 * logs can be asked for). What runs under that name is the runtime's own program, whatever command a user writes there.
 */
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import type { Injection } from "./injection.ts";
import { injectedMetadata, STATUS_ANNOTATION } from "./pod-metadata.ts";
import { PROXY_CONTAINER, type ProxyKind } from "./proxy-kind.ts";

export const PROXY_IMAGE = "weft/proxy";

export function embeddedForm(pod: Pod, kind: ProxyKind): Injection {
  if (pod.metadata.annotations?.[STATUS_ANNOTATION] !== undefined) return { pod, problems: [], warnings: [] };
  const own = pod.spec.containers.find((container) => container.name === PROXY_CONTAINER);
  const others = pod.spec.containers.filter((container) => container !== own);
  const injected: Pod = {
    ...pod,
    metadata: injectedMetadata(pod, "containers"),
    spec: { ...pod.spec, containers: [proxyContainer(kind, own), ...others] },
  };
  return { pod: injected, problems: [], warnings: [] };
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
