/**
 * What a node's agent keeps of the objects that it follows: what is read here and in src/agent, and nothing else. A cluster's
 * objects are most of what an agent has in memory, and most of their changes (heartbeats, conditions, who wrote what) are of
 * fields that nobody on a node reads. Whoever reads another field here must keep it: kept.test.ts compares the plans.
 */
import type { Node, Pod, Service } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import type { KubeObject, ObjectMeta } from "#model/object.ts";
import type { Container } from "#model/pod-parts.ts";
import { sliceServiceLabel } from "#compile/world-tables.ts";

export type Keep = { readonly [K in KindId]?: (object: Kinds[K]) => Kinds[K] };

export function keptOnNode(node: string): Keep {
  return {
    Node: keptNode,
    Namespace: (namespace) => ({ ...kind(namespace), metadata: { ...identity(namespace.metadata), ...pick(namespace.metadata, "labels") } }),
    Pod: (pod) => (pod.spec.nodeName === node ? keptOwnPod(pod) : keptPod(pod)),
    Service: keptService,
    EndpointSlice: keptSlice,
  };
}

/** By these a Service says that nodes leave it alone. */
export const SERVICE_LABELS = ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"] as const;
export const ZONE_LABEL = "topology.kubernetes.io/zone";
/** The one condition that is ours. */
export const NETWORK_CONDITION = "NetworkUnavailable";

function keptNode(node: Node): Node {
  const { spec, status } = node;
  return {
    ...kind(node),
    metadata: { ...identity(node.metadata), labels: labels(node.metadata, ZONE_LABEL) },
    ...(spec === undefined ? {} : { spec: pick(spec, "podCIDR") }),
    ...(status === undefined
      ? {}
      : {
          status: {
            ...pick(status, "addresses"),
            conditions: (status.conditions ?? []).filter(({ type }) => type === NETWORK_CONDITION).map((each) => pick(each, "type", "status")),
          },
        }),
  };
}

/** Of another node: whom policies select, and where it is. */
function keptPod(pod: Pod): Pod {
  const { spec, status } = pod;
  const ports = (container: Container) => pick(container, "name", "ports", "restartPolicy");
  return {
    ...kind(pod),
    metadata: { ...identity(pod.metadata), ...pick(pod.metadata, "labels") },
    spec: { ...pick(spec, "nodeName", "hostNetwork"), ...containers(spec, ports) },
    ...(status === undefined ? {} : { status: pick(status, "phase", "podIP") }),
  };
}

/** Of this node: its proxy is served, too. */
function keptOwnPod(pod: Pod): Pod {
  const { spec, status } = pod;
  return {
    ...kind(pod),
    metadata: { ...identity(pod.metadata), ...pick(pod.metadata, "labels", "annotations", "deletionTimestamp") },
    spec: {
      ...pick(spec, "nodeName", "hostNetwork", "serviceAccountName"),
      ...containers(spec, (container) => pick(container, "name", "ports", "restartPolicy", "env")),
    },
    ...(status === undefined ? {} : { status: pick(status, "phase", "podIP", "podIPs", "containerStatuses", "initContainerStatuses") }),
  };
}

function keptService(service: Service): Service {
  const { spec, status } = service;
  // Whom it selects is in its slices.
  const { selector: _, ipFamilies: _families, ipFamilyPolicy: _policy, ...kept } = spec;
  return {
    ...kind(service),
    metadata: { ...identity(service.metadata), labels: labels(service.metadata, ...SERVICE_LABELS) },
    spec: kept,
    ...(status?.loadBalancer?.ingress === undefined ? {} : { status: { loadBalancer: pick(status.loadBalancer, "ingress") } }),
  };
}

function keptSlice(slice: EndpointSlice): EndpointSlice {
  return {
    ...kind(slice),
    metadata: { ...identity(slice.metadata), labels: labels(slice.metadata, sliceServiceLabel) },
    ...pick(slice, "addressType", "ports"),
    endpoints: slice.endpoints.map((endpoint) => pick(endpoint, "addresses", "conditions", "hostname", "nodeName", "hints")),
  };
}

function containers(spec: Pod["spec"], of: (container: Container) => Container): Pick<Pod["spec"], "containers" | "initContainers"> {
  // Those in files may have none.
  const { containers: own = [], initContainers } = spec as Partial<Pod["spec"]>;
  return { containers: own.map(of), ...(initContainers === undefined ? {} : { initContainers: initContainers.map(of) }) };
}

function kind({ apiVersion, kind: name }: KubeObject): Pick<KubeObject, "apiVersion" | "kind"> {
  return { apiVersion, kind: name };
}

/** With the revision, by which watches and lists of the same object are compared. */
function identity(metadata: ObjectMeta): Pick<ObjectMeta, "name" | "namespace" | "uid" | "resourceVersion"> {
  return pick(metadata, "name", "namespace", "uid", "resourceVersion");
}

function labels({ labels: all = {} }: ObjectMeta, ...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name): [string, string][] => (all[name] === undefined ? [] : [[name, all[name]]])));
}

/** Fields that are absent stay absent. */
function pick<T extends object, F extends keyof T>(from: T, ...fields: readonly F[]): Pick<T, F> {
  const kept: Partial<Pick<T, F>> = {};
  for (const field of fields) if (from[field] !== undefined) kept[field] = from[field];
  return kept as Pick<T, F>;
}
