/** What FROM and TO of `weft why` mean: `[ns/]pod`, `deploy/x`, `svc/x`, `gateway`, `outside`, a host name, an address. */
import type { Pod, Service } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import type { WorldReader } from "#model/world.ts";
import { ingressGateway } from "#compile/mesh/settings.ts";
import { parseIp } from "#lib/ip.ts";

export type Source = { readonly kind: "pod"; readonly pod: Pod } | { readonly kind: "outside" };

/** Where the client wants to go, before any name is resolved. */
export interface Destination {
  /** What the client types: a name or an address. */
  readonly host: string;
  readonly port: number;
  /** No name is resolved: the address of a pod, of the gateway, or a literal. */
  readonly address?: string;
  readonly pod?: Pod;
}

export class PlaceError extends Error {}

export function findSource(text: string, world: WorldReader, namespace: string): Source {
  if (text === "outside") return { kind: "outside" };
  if (text === "gateway") return { kind: "pod", pod: gatewayPod(world) };
  const pods = findPods(text, world, namespace);
  if (pods[0] !== undefined) return { kind: "pod", pod: pods[0] };
  const service = findService(text, world, namespace);
  const behind = service === undefined ? undefined : podsBehind(service, world)[0];
  if (behind !== undefined) return { kind: "pod", pod: behind };
  throw new PlaceError(`FROM ${JSON.stringify(text)} names no pod (tried namespace ${namespace}); ${known(world)}`);
}

export function findDestination(text: string, world: WorldReader, namespace: string, from: Source): Destination {
  const { place, port } = splitPort(text);
  if (place === "gateway") return gatewayDestination(world, port ?? 80, from);
  if (parseIp(place) !== undefined) return { host: place, address: place, port: port ?? 80 };
  const service = findService(place, world, namespace);
  if (service !== undefined) return { host: hostFor(service, namespace), port: port ?? onlyPort(service) };
  const [pod] = findPods(place, world, namespace);
  if (pod !== undefined) {
    const address = pod.status?.podIP;
    if (address === undefined || address === "") throw new PlaceError(`Pod ${objectKey(pod)} has no address yet; wait until it runs`);
    return { host: address, address, pod, port: port ?? podPort(pod) };
  }
  if (place.includes(".")) return { host: place, port: port ?? 80 };
  throw new PlaceError(`TO ${JSON.stringify(place)} is neither a Service nor a pod (tried namespace ${namespace}); ${known(world)}`);
}

function splitPort(text: string): { readonly place: string; readonly port?: number } {
  const found = /^(.*):(\d+)$/.exec(text);
  if (found === null || found[1]?.includes(":") === true) return { place: text };
  return { place: found[1] ?? "", port: Number(found[2]) };
}

function splitNamespace(text: string, namespace: string): { readonly namespace: string; readonly name: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace, name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

/** By name, by `deploy/name`, or by the beginning of a name that only pods of one workload share. */
function findPods(text: string, world: WorldReader, inNamespace: string): readonly Pod[] {
  const deployment = /^(?:(.*)\/)?deploy(?:ment)?\/(.*)$/.exec(text);
  const plain = text.replace(/^(pod|po)\//, "");
  const { namespace, name } = deployment === null ? splitNamespace(plain, inNamespace) : { namespace: deployment[1] ?? inNamespace, name: deployment[2] ?? "" };
  const pods = world.inNamespace("Pod", namespace).filter(({ status }) => status?.phase !== "Succeeded" && status?.phase !== "Failed");
  const exact = pods.filter(({ metadata }) => metadata.name === name);
  if (exact.length > 0) return exact;
  const ofWorkload = pods.filter((pod) => new RegExp(`^${name.replaceAll(/[.]/g, "\\.")}-[a-z0-9]+-[a-z0-9]+$`).test(pod.metadata.name));
  if (deployment !== null || ofWorkload.length > 0) return ofWorkload;
  return pods.filter((pod) => pod.metadata.name.startsWith(`${name}-`) || (name.includes("-") && pod.metadata.name.startsWith(name)));
}

/** "reviews", "svc/reviews", "shop/reviews", "shop/svc/reviews", "reviews.shop", "reviews.shop.svc.cluster.local" */
function findService(text: string, world: WorldReader, inNamespace: string): Service | undefined {
  const plain = text.replace(/(^|\/)(svc|service)\//, "$1");
  const { namespace, name } = splitNamespace(plain, inNamespace);
  const dotted = /^([^.]+)\.([^.]+)(\.svc(\.cluster\.local)?)?$/.exec(name);
  return world.get("Service", `${namespace}/${name}`) ?? (dotted === null ? undefined : world.get("Service", `${dotted[2]}/${dotted[1]}`));
}

function hostFor({ metadata }: Service, namespace: string): string {
  return metadata.namespace === namespace ? metadata.name : `${metadata.name}.${metadata.namespace ?? ""}`;
}

function onlyPort(service: Service): number {
  const ports = (service.spec.ports ?? []).map(({ port }) => port);
  const [only] = ports;
  if (only === undefined || ports.length > 1) {
    throw new PlaceError(
      `Service ${objectKey(service)} has ${ports.length === 0 ? "no port" : `ports ${ports.join(", ")}`}; say which: ${service.metadata.name}:PORT`,
    );
  }
  return only;
}

function podPort(pod: Pod): number {
  const ports = pod.spec.containers.filter(({ name }) => name !== "istio-proxy").flatMap((container) => container.ports ?? []);
  if (ports[0] === undefined) throw new PlaceError(`Pod ${objectKey(pod)} declares no port; say which: ${pod.metadata.name}:PORT`);
  return ports[0].containerPort;
}

function podsBehind(service: Service, world: WorldReader): readonly Pod[] {
  const key = objectKey(service);
  const slices = world
    .inNamespace("EndpointSlice", service.metadata.namespace ?? "")
    .filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === service.metadata.name);
  const names = slices.flatMap(({ endpoints }) => endpoints.flatMap(({ targetRef }) => targetRef?.name ?? []));
  return names.flatMap((name) => world.get("Pod", `${key.split("/")[0] ?? ""}/${name}`) ?? []);
}

function gatewayPod(world: WorldReader): Pod {
  const service = world.get("Service", `${ingressGateway.namespace}/${ingressGateway.service}`);
  const pod = service === undefined ? undefined : podsBehind(service, world)[0];
  if (pod === undefined) throw new PlaceError(`there is no gateway pod: Service ${ingressGateway.namespace}/${ingressGateway.service} has no endpoint`);
  return pod;
}

/** From outside by its LoadBalancer address, from inside by name. */
function gatewayDestination(world: WorldReader, port: number, from: Source): Destination {
  const host = `${ingressGateway.service}.${ingressGateway.namespace}`;
  const service = world.get("Service", `${ingressGateway.namespace}/${ingressGateway.service}`);
  if (service === undefined) throw new PlaceError(`there is no gateway: Service ${ingressGateway.namespace}/${ingressGateway.service} does not exist`);
  if (from.kind === "pod") return { host, port };
  const address = service.status?.loadBalancer?.ingress?.[0]?.ip ?? service.spec.clusterIP ?? "";
  return { host: address, address, port };
}

function known(world: WorldReader): string {
  const names = world.all("Pod").slice(0, 12).map(objectKey);
  return names.length === 0 ? "there are no pods" : `pods are ${names.join(", ")}${world.all("Pod").length > names.length ? ", ..." : ""}`;
}
