/**
 * From manifests alone to the World that a cluster would make of them: Deployments become Pods (with proxies, where injection
 * says so) on nodes, with addresses; Services get addresses and EndpointSlices. Everything is ready. What a cluster brings
 * along (nodes, the `kubernetes` Service, the ingress gateway) is added where the manifests do not have it.
 *
 * The same manifests always give the same names and addresses, whatever their order. A real cluster chooses others, so answers
 * from files name pods and addresses that stand for those.
 */
import { EMBEDDED, injectProxy } from "#compile/inject/inject.ts";
import type { Deployment } from "#model/apps.ts";
import type { Namespace, Node, Pod, PodTemplate, Service } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { makeWorld, type World } from "#model/world.ts";
import { clusterObjects } from "./cluster-objects.ts";
import { AddressPool, suffix } from "./names.ts";
import { sliceOf } from "./slices.ts";

export interface ImaginedCluster {
  readonly nodes?: number;
}

export function imagineWorld(manifests: readonly KubeObject[], { nodes = 2 }: ImaginedCluster = {}): World {
  const given = makeWorld([...clusterObjects(nodes), ...manifests]);
  const namespaces = namespacesOf(given);
  const services = withAddresses(listOf(given.Service));
  const pods = placed(allPods(given), listOf(given.Node)).map((pod) => injectProxy(pod, namespaces.get(pod.metadata.namespace ?? ""), EMBEDDED).pod);
  const imagined: readonly KubeObject[] = [...namespaces.values(), ...services, ...pods, ...slices(services, pods, listOf(given.EndpointSlice))];
  return makeWorld([...[...Object.values(given)].flatMap((objects) => [...(objects as ReadonlyMap<string, KubeObject>).values()]), ...imagined]);
}

function listOf<T extends KubeObject>(objects: ReadonlyMap<string, T> | undefined): readonly T[] {
  return [...(objects ?? new Map<string, T>())].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

/** Also those that nobody declared but something lives in. */
function namespacesOf(world: World): ReadonlyMap<string, Namespace> {
  const names = new Set(
    Object.values(world).flatMap((objects) =>
      [...(objects as ReadonlyMap<string, KubeObject>).values()].map(({ metadata }) => metadata.namespace ?? "default"),
    ),
  );
  const found = new Map<string, Namespace>();
  for (const name of [...names].sort()) {
    const given = world.Namespace?.get(name);
    const labels = { "kubernetes.io/metadata.name": name, ...given?.metadata.labels };
    found.set(name, { apiVersion: "v1", kind: "Namespace", ...given, metadata: { ...given?.metadata, name, labels } });
  }
  return found;
}

function allPods(world: World): readonly Pod[] {
  const of = (owner: KubeObject, template: PodTemplate, replicas: number): Pod[] => Array.from({ length: replicas }, (_, i) => podOf(owner, template, i));
  const fromDeployments = listOf(world.Deployment).flatMap((deployment) => of(deployment, deployment.spec.template, deployment.spec.replicas ?? 1));
  const sets = listOf(world.ReplicaSet).filter((set) => !isOwned(set) && set.spec.template !== undefined);
  const fromSets = sets.flatMap((set) => (set.spec.template === undefined ? [] : of(set, set.spec.template, set.spec.replicas ?? 1)));
  return [...listOf(world.Pod), ...fromDeployments, ...fromSets].sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1));
}

function isOwned({ metadata }: KubeObject): boolean {
  return (metadata.ownerReferences ?? []).length > 0;
}

function podOf(owner: Deployment | KubeObject, template: PodTemplate, index: number): Pod {
  const { namespace = "default", name } = owner.metadata;
  const hash = suffix(`${namespace}/${name}`, 9);
  const metadata = { ...template.metadata, namespace, name: `${name}-${hash}-${suffix(`${namespace}/${name}/${index}`, 5)}` };
  const serviceAccountName = template.spec.serviceAccountName ?? "default";
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { ...template.spec, serviceAccountName } };
}

/** Spread over the nodes in the order of their names; a Pod that says where it is stays there. */
function placed(pods: readonly Pod[], nodes: readonly Node[]): readonly Pod[] {
  const pools = new Map(nodes.map((node) => [node.metadata.name, new AddressPool(node.spec?.podCIDR ?? "10.244.0.0/24", 2)]));
  for (const { spec, status } of pods) if (status?.podIP !== undefined && spec.nodeName !== undefined) pools.get(spec.nodeName)?.take(status.podIP);
  return pods.map((pod, i) => {
    const node = nodes.find(({ metadata }) => metadata.name === pod.spec.nodeName) ?? nodes[i % nodes.length];
    const name = node?.metadata.name ?? "node-1";
    const hostIP = node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "";
    const podIP = pod.status?.podIP ?? (pod.spec.hostNetwork === true ? hostIP : (pools.get(name)?.next() ?? ""));
    const ready = { type: "Ready", status: "True" };
    return {
      ...pod,
      metadata: { uid: suffix(objectKey(pod), 12), ...pod.metadata },
      spec: { ...pod.spec, nodeName: name },
      status: { phase: "Running" as const, conditions: [ready], ...pod.status, hostIP, podIP, podIPs: [{ ip: podIP }] },
    };
  });
}

function withAddresses(services: readonly Service[]): readonly Service[] {
  const pool = new AddressPool("10.96.0.0/16", 100);
  for (const { spec } of services) if (spec.clusterIP !== undefined) pool.take(spec.clusterIP);
  const balancers = new AddressPool("192.168.99.240/28", 0);
  for (const { status } of services) for (const { ip } of status?.loadBalancer?.ingress ?? []) if (ip !== undefined) balancers.take(ip);
  return services.map((service) => {
    const hasBalancer = (service.status?.loadBalancer?.ingress ?? []).length > 0;
    const status = service.spec.type === "LoadBalancer" && !hasBalancer ? { status: { loadBalancer: { ingress: [{ ip: balancers.next() }] } } } : {};
    if (service.spec.type === "ExternalName" || (service.spec.clusterIP ?? "") !== "") return { ...service, ...status };
    const clusterIP = pool.next();
    return { ...service, ...status, spec: { ...service.spec, clusterIP, clusterIPs: [clusterIP] } };
  });
}

/** Services that have slices in the manifests keep those. */
function slices(services: readonly Service[], pods: readonly Pod[], given: readonly EndpointSlice[]): readonly EndpointSlice[] {
  const own = new Set(given.map(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.labels?.["kubernetes.io/service-name"] ?? ""}`));
  return services.flatMap((service) => (own.has(objectKey(service)) ? [] : (sliceOf(service, pods) ?? [])));
}
