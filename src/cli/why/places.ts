/**
 * What FROM and TO of `weft why` mean. FROM: `[ns/]pod`, `deploy/x`, `svc/x`, `gateway`, `outside`, a node, an address. TO: the
 * same, a host name, or a URL; with `:PORT`, which may be a port's name, and `/udp`.
 */
import type { Pod, Service } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import type { Known } from "#decide/why/answer.ts";
import { covers } from "#compile/mesh/hosts.ts";
import { ingressGateway } from "#compile/mesh/settings.ts";
import { formatIp, parseIp } from "#lib/ip.ts";
import { gatewayServing } from "./gateway-names.ts";
import { nearNames } from "./near-names.ts";
import { findPods, findService, podsBehind } from "./find.ts";

export type Source =
  | { readonly kind: "pod"; readonly pod: Pod }
  | { readonly kind: "node"; readonly node: string }
  /** A machine beside the nodes. */
  | { readonly kind: "outside"; readonly ip: string };

/** Where the client wants to go, before any name is resolved. */
export interface Destination {
  /** What the client types: a name or an address. */
  readonly host: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  /** No name is resolved: the address of a pod, of the gateway, or a literal. */
  readonly address?: string;
  /** How the address came to be. */
  readonly naming?: { readonly text: string; readonly known: Known; readonly by?: Provenance };
  readonly service?: Service;
  /** What the client sends as its host, when it is not the name and port above. */
  readonly authority?: string;
  /** There is no way for this client, whatever the network does. */
  readonly nowhere?: { readonly text: string; readonly by: Provenance };
}

/** What is asked for cannot be found: the question is wrong, not the cluster. */
export class PlaceError extends Error {}

/** The machine beside the nodes of `weft up`. */
const BESIDE_THE_NODES = "192.168.99.9";
const HTTP_PORT = 80;
const HTTPS_PORT = 443;

export interface SourceFacts {
  readonly namespace: string;
  readonly outsideAddress?: string | undefined;
}

export function findSource(text: string, world: WorldReader, { namespace, outsideAddress = BESIDE_THE_NODES }: SourceFacts): Source {
  if (text === "outside") return { kind: "outside", ip: outsideAddress };
  if (text === "gateway") return { kind: "pod", pod: gatewayPod(world) };
  const literal = parseIp(text);
  if (literal !== undefined) return sourceAt(formatIp(literal), world);
  const pods = findPods(text, world, namespace);
  if (pods[0] !== undefined) return sourceOf(pods[0]);
  if (world.get("Node", text) !== undefined) return { kind: "node", node: text };
  const service = findService(text, world, namespace);
  const behind = service === undefined ? undefined : podsBehind(service, world)[0];
  if (behind !== undefined) return sourceOf(behind);
  if (service !== undefined) throw new PlaceError(`FROM ${JSON.stringify(text)}: no pod is behind Service ${objectKey(service)}`);
  const names = [...podNames(world, namespace), ...world.all("Node").map(({ metadata }) => metadata.name), "gateway", "outside"];
  throw new PlaceError(`FROM ${JSON.stringify(text)} names no pod and no node (namespace ${namespace}); ${meant(text, names)}`);
}

/** A pod in its node's network sends as the node. */
function sourceOf(pod: Pod): Source {
  const { hostNetwork, nodeName } = pod.spec;
  return hostNetwork === true && nodeName !== undefined ? { kind: "node", node: nodeName } : { kind: "pod", pod };
}

function sourceAt(address: string, world: WorldReader): Source {
  const pod = world.all("Pod").find(({ status, spec }) => status?.podIP === address && spec.hostNetwork !== true);
  if (pod !== undefined) return { kind: "pod", pod };
  const node = world.all("Node").find(({ status }) => (status?.addresses ?? []).some((each) => each.address === address));
  return node === undefined ? { kind: "outside", ip: address } : { kind: "node", node: node.metadata.name };
}

export function findDestination(text: string, world: WorldReader, namespace: string, from: Source): Destination {
  const { place, port, protocol } = splitPort(text);
  const number = typeof port === "number" ? port : undefined;
  if (place === "gateway") return gatewayDestination(world, number ?? HTTP_PORT, from);
  const literal = parseIp(place.replace(/^\[(.*)\]$/, "$1"));
  if (literal !== undefined) {
    if (typeof port === "string") throw new PlaceError(`TO ${JSON.stringify(text)}: a port's name needs a Service or a pod that has it`);
    if (from.kind === "outside" && /^(127\.|::1$)/.test(formatIp(literal))) return ownMachine(place, number ?? HTTP_PORT, world);
    return { host: place, address: formatIp(literal), port: number ?? HTTP_PORT, protocol: protocol ?? "tcp" };
  }
  if (place === "localhost" && from.kind === "outside") return ownMachine(place, number ?? HTTP_PORT, world);
  const service = findService(place, world, namespace);
  if (service !== undefined) return serviceDestination(service, { place, port, protocol, namespace, from, world });
  const [pod] = findPods(place, world, namespace);
  if (pod !== undefined) {
    const address = pod.status?.podIP;
    if (address === undefined || address === "") throw new PlaceError(`Pod ${objectKey(pod)} has no address yet: ${waitingFor(pod)}`);
    return { host: address, address, ...podPort(pod, port), ...(protocol === undefined ? {} : { protocol }) };
  }
  if (!place.includes("."))
    throw new PlaceError(
      `TO ${JSON.stringify(place)} is neither a Service nor a pod (namespace ${namespace}); ${meant(place, [...serviceNames(world, namespace), ...podNames(world, namespace), "gateway"])}`,
    );
  if (typeof port === "string") throw new PlaceError(`TO ${JSON.stringify(text)}: a port's name needs a Service or a pod that has it`);
  const named = { host: place, port: number ?? HTTP_PORT, protocol: protocol ?? "tcp" } as const;
  return from.kind === "outside" ? { ...named, ...servedByGateway(place, named.port, world) } : named;
}

/** "http://host:port/path?query": the destination, and the path. */
export function splitUrl(text: string): { readonly to: string; readonly path?: string } {
  const found = /^(https?):\/\/([^/?#]+)([/?][^#]*)?/i.exec(text);
  if (found === null) return { to: text };
  const [, scheme = "http", authority = "", path] = found;
  const hasPort = /:\d+$/.test(authority);
  const to = hasPort ? authority : `${authority}:${scheme.toLowerCase() === "https" ? HTTPS_PORT : HTTP_PORT}`;
  return { to, ...(path === undefined ? {} : { path: path.startsWith("/") ? path : `/${path}` }) };
}

type WrittenPort = number | string | undefined;

function splitPort(text: string): { readonly place: string; readonly port: WrittenPort; readonly protocol: "tcp" | "udp" | undefined } {
  const [, whole = text, suffix] = /^(.*?)\/(tcp|udp)$/i.exec(text) ?? [];
  const protocol = suffix === undefined ? undefined : suffix.toLowerCase() === "udp" ? "udp" : "tcp";
  const found = /^(\[.*\]|[^:]*):([a-z0-9-]+)$/i.exec(whole);
  if (found === null) return { place: whole, port: undefined, protocol };
  const [, place = "", port = ""] = found;
  if (!/^\d+$/.test(port)) return { place, port, protocol };
  if (Number(port) < 1 || Number(port) > 65_535) throw new PlaceError(`TO ${JSON.stringify(text)}: port ${port} is not between 1 and 65535`);
  return { place, port: Number(port), protocol };
}

interface ServiceQuestion {
  readonly place: string;
  readonly port: WrittenPort;
  readonly protocol: "tcp" | "udp" | undefined;
  readonly namespace: string;
  readonly from: Source;
  readonly world: WorldReader;
}

function serviceDestination(service: Service, { place, port, protocol, namespace, from, world }: ServiceQuestion): Destination {
  const { metadata, spec, status } = service;
  const chosen = servicePort(service, port, protocol);
  // What is typed is what the client sends as its host; a kind or a namespace before a slash is nobody's name.
  const host = place.includes("/") ? (metadata.namespace === namespace ? metadata.name : `${metadata.name}.${metadata.namespace ?? ""}`) : place;
  const found: Destination = { host, ...chosen, service };
  if (from.kind !== "outside") return found;
  const by = { kind: "Service", namespace: metadata.namespace ?? "", name: metadata.name, field: "spec.type" };
  const balancer = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? [])[0];
  if (balancer !== undefined) {
    const naming = {
      text: `${metadata.name} -> ${balancer}, its LoadBalancer address`,
      known: "executed",
      by: { ...by, field: "status.loadBalancer" },
    } as const;
    return { ...found, address: balancer, naming };
  }
  const nodePort = nodePortOf(service, chosen, world);
  if (nodePort !== undefined) return { ...found, ...nodePort };
  const text = `Service ${objectKey(service)} is of type ${spec.type ?? "ClusterIP"}: no machine outside the cluster can name or reach it`;
  return { ...found, nowhere: { text, by } };
}

/** At the first node, for who has no other way in. */
function nodePortOf(service: Service, { port, protocol }: Pick<Destination, "port" | "protocol">, world: WorldReader) {
  const index = (service.spec.ports ?? []).findIndex((each) => each.port === port && (each.protocol === "UDP" ? "udp" : "tcp") === protocol);
  const number = service.spec.ports?.[index]?.nodePort ?? 0;
  const node = world.all("Node")[0];
  const address = node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
  if (number === 0 || node === undefined || address === undefined) return undefined;
  const text = `${service.metadata.name} -> ${address}:${number}, its port on every node, here on ${node.metadata.name}`;
  const by = { kind: "Service", namespace: service.metadata.namespace ?? "", name: service.metadata.name, field: `spec.ports[${index}].nodePort` };
  return { address, port: number, naming: { text, known: "executed", by } } as const;
}

function servicePort(service: Service, written: WrittenPort, wanted: "tcp" | "udp" | undefined): { readonly port: number; readonly protocol: "tcp" | "udp" } {
  const ports = (service.spec.ports ?? []).map(({ port, name, protocol }) => ({
    port,
    name,
    protocol: protocol === "UDP" ? ("udp" as const) : ("tcp" as const),
  }));
  const key = objectKey(service);
  const listed = ports
    .map(({ port, name, protocol }) => `${port}${protocol === "udp" ? "/udp" : ""}${name === undefined || name === "" ? "" : ` (${name})`}`)
    .join(", ");
  if (typeof written === "number") {
    const same = ports.filter(({ port }) => port === written);
    return { port: written, protocol: wanted ?? same.find(({ protocol }) => protocol === "tcp")?.protocol ?? same[0]?.protocol ?? "tcp" };
  }
  if (typeof written === "string") {
    const named = ports.find(({ name, protocol }) => name === written && (wanted ?? protocol) === protocol);
    if (named === undefined) throw new PlaceError(`Service ${key} has no port named ${JSON.stringify(written)}; it has ${listed === "" ? "no port" : listed}`);
    return named;
  }
  const [only, ...more] = ports;
  if (only !== undefined && more.length === 0) return only;
  if (service.spec.type === "ExternalName") return { port: HTTP_PORT, protocol: wanted ?? "tcp" };
  throw new PlaceError(`Service ${key} has ${only === undefined ? "no port" : `ports ${listed}`}; say which: ${service.metadata.name}:PORT`);
}

function podPort(pod: Pod, written: WrittenPort): { readonly port: number; readonly protocol: "tcp" | "udp" } {
  if (typeof written === "number") return { port: written, protocol: "tcp" };
  const ports = pod.spec.containers.filter(({ name }) => name !== "istio-proxy").flatMap((container) => container.ports ?? []);
  const found = written === undefined ? ports[0] : ports.find(({ name }) => name === written);
  if (found !== undefined) return { port: found.containerPort, protocol: found.protocol === "UDP" ? "udp" : "tcp" };
  const what = written === undefined ? "declares no port" : `declares no port named ${JSON.stringify(written)}`;
  throw new PlaceError(`Pod ${objectKey(pod)} ${what}; say which: ${pod.metadata.name}:PORT`);
}

function waitingFor({ spec, status }: Pod): string {
  const states = (status?.containerStatuses ?? []).flatMap(({ name, state }) =>
    state?.waiting === undefined ? [] : [`${name}: ${state.waiting.reason ?? "waiting"}`],
  );
  if (states.length > 0) return states.join(", ");
  return spec.nodeName === undefined ? "no node has been chosen for it" : `it is ${status?.phase ?? "Pending"}`;
}

export function gatewayPod(world: WorldReader): Pod {
  const service = world.get("Service", `${ingressGateway.namespace}/${ingressGateway.service}`);
  const pod = service === undefined ? undefined : podsBehind(service, world)[0];
  if (pod === undefined) throw new PlaceError(`there is no gateway pod: Service ${ingressGateway.namespace}/${ingressGateway.service} has no endpoint`);
  return pod;
}

/** From outside by its LoadBalancer address, from inside by name. */
function gatewayDestination(world: WorldReader, port: number, from: Source): Destination {
  const host = `${ingressGateway.service}.${ingressGateway.namespace}`;
  if (from.kind !== "outside") return { host, port, protocol: "tcp" };
  return { host, port, protocol: "tcp", ...balancerOfGateway(world) };
}

/** What `weft up` prints: ports of the machine that it forwards to the gateway. */
function ownMachine(host: string, port: number, world: WorldReader): Destination {
  const { address } = balancerOfGateway(world);
  const to = port % 1000 === HTTPS_PORT ? HTTPS_PORT : HTTP_PORT;
  const naming = { text: `${host}:${port} -> ${address}:${to}, if that is the port that weft up forwards to the gateway`, known: "unknown" } as const;
  return { host, address, naming, port: to, protocol: "tcp", authority: port === to ? host : `${host}:${port}` };
}

function balancerOfGateway(world: WorldReader): Required<Pick<Destination, "address" | "naming">> {
  const { namespace, service: name } = ingressGateway;
  const service = world.get("Service", `${namespace}/${name}`);
  const address = service?.status?.loadBalancer?.ingress?.[0]?.ip;
  if (address === undefined) throw new PlaceError(`the gateway has no LoadBalancer address yet (Service ${namespace}/${name})`);
  const by = { kind: "Service", namespace, name, field: "status.loadBalancer" };
  return { address, naming: { text: `gateway -> ${address}, its LoadBalancer address`, known: "executed", by } };
}

/** A machine outside asks its own resolvers. If a gateway serves the host, its name most likely leads there. */
function servedByGateway(host: string, port: number, world: WorldReader): Pick<Destination, "address" | "naming"> {
  const own = gatewayServing(host, port, world);
  if (own !== undefined) {
    const text = `${host} -> ${own.address}, the Gateway's address, if that is what the client's resolver says`;
    return { address: own.address, naming: { text, known: "unknown", by: own.by } };
  }
  const hosts = [
    ...world.all("HTTPRoute").flatMap(({ spec }) => spec.hostnames ?? []),
    ...world.all("VirtualService").flatMap(({ spec }) => ((spec.gateways ?? []).some((gateway) => gateway !== "mesh") ? (spec.hosts ?? []) : [])),
  ];
  if (!hosts.some((pattern) => pattern !== "*" && covers(pattern, host))) return {};
  const { address } = balancerOfGateway(world);
  return { address, naming: { text: `${host} -> ${address}, the gateway's address, if that is what the client's resolver says`, known: "unknown" } };
}

function podNames(world: WorldReader, namespace: string): readonly string[] {
  const own = world.inNamespace("Pod", namespace).map(({ metadata }) => metadata.name);
  return [...own, ...world.all("Pod").flatMap((pod) => (pod.metadata.namespace === namespace ? [] : [objectKey(pod)]))];
}

function serviceNames(world: WorldReader, namespace: string): readonly string[] {
  const own = world.inNamespace("Service", namespace).map(({ metadata }) => metadata.name);
  return [
    ...own,
    ...world.all("Service").flatMap(({ metadata }) => (metadata.namespace === namespace ? [] : [`${metadata.name}.${metadata.namespace ?? ""}`])),
  ];
}

const MANY = 12;

function meant(written: string, names: readonly string[]): string {
  const near = nearNames(written.replace(/^(deploy|deployment|svc|service|pod|po)\//, "").replace(/:.*$/, ""), names);
  if (near.length > 0) return `did you mean ${near.join(" or ")}?`;
  const shown = names.slice(0, MANY);
  return `there are: ${shown.join(", ")}${names.length > MANY ? `, and ${names.length - MANY} more` : ""}`;
}
