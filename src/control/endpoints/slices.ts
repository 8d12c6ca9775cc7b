/** A Service and its pods -> the EndpointSlices that should exist. Pure. */
import { createHash } from "node:crypto";
import type { Pod, Service, ServicePort } from "#model/core.ts";
import type { Endpoint, EndpointSlice } from "#model/discovery.ts";
import { matchesLabels } from "#model/selectors.ts";
import { controllerReference, isFinished, isReady } from "#control/pod-facts.ts";

export const SERVICE_NAME = "kubernetes.io/service-name";
export const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";
export const MANAGER = "endpointslice-controller.weft.dev";

/** Kubernetes' own default for one slice. */
const MAX_ENDPOINTS = 100;

type SlicePort = NonNullable<EndpointSlice["ports"]>[number];

/** Slices of a Service without selector are its owner's business: undefined. */
export function desiredSlices(service: Service, podsOfNamespace: readonly Pod[]): readonly EndpointSlice[] | undefined {
  const { selector, type } = service.spec;
  if (type === "ExternalName" || selector === undefined || Object.keys(selector).length === 0) return undefined;
  const pods = podsOfNamespace.filter((pod) => matchesLabels(selector, pod.metadata.labels) && (pod.status?.podIP ?? "") !== "" && !isFinished(pod));
  // Pods that name different numbers by one port name go into different slices: a slice has one list of ports.
  const groups = new Map<string, { ports: SlicePort[]; pods: Pod[] }>();
  for (const pod of pods.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    const ports = (service.spec.ports ?? []).flatMap((port) => slicePort(port, pod));
    const family = (pod.status?.podIP ?? "").includes(":") ? "IPv6" : "IPv4";
    const key = JSON.stringify([family, ports]);
    const group = groups.get(key) ?? { ports, pods: [] };
    group.pods.push(pod);
    groups.set(key, group);
  }
  if (groups.size === 0) groups.set('["IPv4",[]]', { ports: [], pods: [] });
  return [...groups].flatMap(([key, group]) => {
    const addressType = key.startsWith('["IPv6"') ? "IPv6" : "IPv4";
    const parts = Math.max(1, Math.ceil(group.pods.length / MAX_ENDPOINTS));
    return Array.from({ length: parts }, (_, part): EndpointSlice => {
      const members = group.pods.slice(part * MAX_ENDPOINTS, (part + 1) * MAX_ENDPOINTS);
      return {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
          name: `${service.metadata.name}-${createHash("sha256")
            .update(`${service.metadata.uid ?? ""}${key}${part}`)
            .digest("hex")
            .slice(0, 5)}`,
          ...(service.metadata.namespace === undefined ? {} : { namespace: service.metadata.namespace }),
          labels: {
            ...service.metadata.labels,
            ...(service.spec.clusterIP === "None" ? { "service.kubernetes.io/headless": "" } : {}),
            [SERVICE_NAME]: service.metadata.name,
            [MANAGED_BY]: MANAGER,
          },
          ownerReferences: [controllerReference(service)],
        },
        addressType,
        endpoints: members.map((pod) => endpointOf(pod, service)),
        ports: group.ports,
      };
    });
  });
}

function endpointOf(pod: Pod, service: Service): Endpoint {
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const { hostname, subdomain, nodeName } = pod.spec;
  return {
    addresses: [pod.status?.podIP ?? ""],
    conditions: { ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating },
    ...(hostname !== undefined && subdomain === service.metadata.name ? { hostname } : {}),
    ...(nodeName === undefined ? {} : { nodeName }),
    targetRef: { kind: "Pod", name: pod.metadata.name, namespace: pod.metadata.namespace ?? "", uid: pod.metadata.uid ?? "" },
  };
}

/** Nothing when the pod has no port of the name that the Service asks for. */
function slicePort(port: ServicePort, pod: Pod): SlicePort[] {
  const { targetPort = port.port, protocol = "TCP", appProtocol } = port;
  const number =
    typeof targetPort === "number"
      ? targetPort
      : pod.spec.containers.flatMap((container) => container.ports ?? []).find((each) => each.name === targetPort && (each.protocol ?? "TCP") === protocol)
          ?.containerPort;
  if (number === undefined) return [];
  return [{ name: port.name ?? "", protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) }];
}
