/** The EndpointSlice that a cluster would make for a Service. */
import { matchesLabels } from "#model/selectors.ts";
import type { Pod, Service, ServicePort } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { suffix } from "./names.ts";

/** undefined: a Service without selector has only the endpoints that somebody gives it. */
export function sliceOf(service: Service, pods: readonly Pod[]): EndpointSlice | undefined {
  const { namespace = "", name } = service.metadata;
  const { selector = {}, ports = [] } = service.spec;
  if (Object.keys(selector).length === 0) return undefined;
  const chosen = pods.filter((pod) => pod.metadata.namespace === namespace && matchesLabels(selector, pod.metadata.labels));
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace, name: `${name}-${suffix(`${namespace}/${name}`, 5)}`, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    endpoints: chosen.map((pod) => ({
      addresses: [pod.status?.podIP ?? ""],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: pod.spec.nodeName ?? "",
      targetRef: { kind: "Pod", namespace, name: pod.metadata.name },
    })),
    ports: ports.map((port) => ({ name: port.name ?? "", protocol: port.protocol ?? "TCP", port: targetPort(port, chosen) })),
  };
}

function targetPort({ targetPort: target, port }: ServicePort, pods: readonly Pod[]): number {
  if (typeof target !== "string") return target ?? port;
  const named = pods.flatMap((pod) => pod.spec.containers.flatMap((container) => container.ports ?? [])).find(({ name }) => name === target);
  return named?.containerPort ?? port;
}
