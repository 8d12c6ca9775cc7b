/** A Pod as the mesh sees it: who it is, whether a proxy stands before it, and which ports its services expose. */
import { proxyKindOf, type ProxyKind } from "#compile/inject/proxy-kind.ts";
import type { Pod, Service } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import { matchesLabels } from "#model/selectors.ts";
import { inPrecedence } from "./precedence.ts";
import { meshService, type MeshPort, type MeshService } from "./service.ts";
import { spiffeId } from "./settings.ts";

export interface Workload {
  /** "namespace/name" of the Pod. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly spiffeId: string;
  /** Absent: nothing intercepts its traffic. */
  readonly proxy: ProxyKind | undefined;
  /** Named container ports. */
  readonly namedPorts: Readonly<Record<string, number>>;
}

export function workload(pod: Pod): Workload {
  const { namespace = "", name, labels = {} } = pod.metadata;
  const serviceAccount = pod.spec.serviceAccountName ?? "default";
  // Init containers that are restarted are sidecars, which serve as long as the pod does.
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const ports = [...pod.spec.containers, ...sidecars].flatMap((container) => container.ports ?? []);
  return {
    key: objectKey(pod),
    namespace,
    name,
    labels,
    serviceAccount,
    spiffeId: spiffeId(namespace, serviceAccount),
    proxy: proxyKindOf(pod),
    namedPorts: Object.fromEntries(ports.flatMap((port) => (port.name === undefined ? [] : [[port.name, port.containerPort]]))),
  };
}

/** A port on which the workload is called through a service. */
export interface InboundPort {
  /** Where the application listens. */
  readonly port: number;
  readonly service: MeshService;
  readonly servicePort: MeshPort;
}

/** Of two services that disagree about a port the older one says what it speaks. Sorted by port. */
export function inboundPorts(of: Workload, servicesInNamespace: readonly Service[]): readonly InboundPort[] {
  const ports = new Map<number, InboundPort>();
  for (const object of inPrecedence(servicesInNamespace)) {
    const service = meshService(object);
    if (service === undefined || Object.keys(service.selector).length === 0 || !matchesLabels(service.selector, of.labels)) continue;
    for (const servicePort of service.ports) {
      const port = targetPort(of, servicePort);
      if (port !== undefined && !ports.has(port)) ports.set(port, { port, service, servicePort });
    }
  }
  return [...ports.values()].sort((a, b) => a.port - b.port);
}

function targetPort(of: Workload, { targetPort: target }: MeshPort): number | undefined {
  return typeof target === "number" ? target : of.namedPorts[target];
}
