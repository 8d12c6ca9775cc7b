/**
 * The address of a Gateway API Gateway: a Service of its own in front of the ingress gateway's pods, which leads to the listeners of
 * this Gateway alone. So two Gateways may have one port and one host name, and any port. The control plane makes these Services
 * where the ingress gateway's own Service asks for it by annotation; elsewhere Gateways share its address.
 *
 * Which port of the pod a listener has is nowhere but in the Service (targetPort): there is no second memory to disagree with.
 */
import { createHash } from "node:crypto";
import type { Service } from "#model/core.ts";
import type { Gateway, GatewayListener } from "#model/gateway-api.ts";
import { objectKey } from "#model/object.ts";
import type { WorldReader } from "#model/world.ts";
import { namesOfService, serviceHost } from "./hosts.ts";
import { inPrecedence } from "./precedence.ts";
import { gatewayClasses, ingressGateway } from "./settings.ts";

/** On the Service of the ingress gateway: "own" gives each Gateway an address, anything else or nothing one to all of them. */
export const ADDRESSES_ANNOTATION = "weft.dev/gateway-addresses";
/** On a Gateway's Service: whose it is, as others label it too. */
const NAME_LABEL = "gateway.networking.k8s.io/gateway-name";
export const NAMESPACE_LABEL = "weft.dev/gateway-namespace";
const LONGEST_LABEL = 63;
const frontHost = serviceHost(ingressGateway.namespace, ingressGateway.service);
/** Ports of the pod for the listeners of all Gateways: no application's, and below those that the kernel gives to clients. */
const FIRST_PORT = 20_000;
const LAST_PORT = 29_999;

export function isOurs(gateway: Gateway): boolean {
  return gatewayClasses.has(gateway.spec.gatewayClassName);
}

/** Plain HTTP, and HTTPS that ends here. */
export function isServed({ protocol, tls }: GatewayListener): boolean {
  return protocol === "HTTP" || (protocol === "HTTPS" && (tls?.mode ?? "Terminate") === "Terminate");
}

export function isGatewayAddress({ metadata: { namespace, labels } }: Service): boolean {
  return namespace === ingressGateway.namespace && labels?.[NAMESPACE_LABEL] !== undefined;
}

function givesAddresses(world: WorldReader): boolean {
  return frontService(world)?.metadata.annotations?.[ADDRESSES_ANNOTATION] === "own";
}

export interface Refusal {
  /** A reason of the condition Accepted. */
  readonly reason: "InvalidParameters" | "UnsupportedAddress";
  readonly message: string;
}

/** Why nothing of a Gateway is served: it asks for what would make it another Gateway than its author means. */
export function refusalOf({ spec }: Gateway): Refusal | undefined {
  const parameters = spec.infrastructure?.parametersRef;
  if (parameters !== undefined) {
    const message = `spec.infrastructure.parametersRef: ${parameters.kind} ${parameters.name} is no parameter of Weft, which has none; remove it`;
    return { reason: "InvalidParameters", message };
  }
  const index = (spec.addresses ?? []).findIndex((address) => !isAddress(address) && !namesFront(address));
  if (index < 0) return undefined;
  const { type = "", value = "" } = spec.addresses?.[index] ?? {};
  const next = `give an IPAddress, or the Hostname ${frontHost} for the address that Gateways share`;
  return { reason: "UnsupportedAddress", message: `spec.addresses[${index}]: ${type} ${value} is not supported; ${next}` };
}

type AskedAddress = NonNullable<Gateway["spec"]["addresses"]>[number];

function isAddress({ type = "IPAddress" }: AskedAddress): boolean {
  return type === "IPAddress";
}

/** As Istio's manifests say that a Gateway is served by pods that are there already. */
function namesFront({ type, value }: AskedAddress): boolean {
  return type === "Hostname" && namesOfService(frontHost, "").includes(value ?? "");
}

/** Addresses that a Gateway asks for by value. */
export function askedAddresses({ spec }: Gateway): readonly string[] {
  return (spec.addresses ?? []).filter(isAddress).flatMap(({ value = "" }) => (value === "" ? [] : [value]));
}

/** The Service whose address a Gateway has; undefined: it is not there yet. */
export function frontOf(gateway: Gateway, world: WorldReader): Service | undefined {
  return hasOwnAddress(gateway, world) ? gatewayAddress(gateway, world) : frontService(world);
}

export function hasOwnAddress({ spec }: Gateway, world: WorldReader): boolean {
  return givesAddresses(world) && !(spec.addresses ?? []).some(namesFront);
}

export function isServedGateway(gateway: Gateway): boolean {
  return isOurs(gateway) && refusalOf(gateway) === undefined;
}

/** The Service of this Gateway, once it is there. */
export function gatewayAddress(gateway: Gateway, world: WorldReader): Service | undefined {
  const service = world.get("Service", `${ingressGateway.namespace}/${serviceName(gateway)}`);
  return service !== undefined && isGatewayAddress(service) ? service : undefined;
}

/** The Services that there should be. A port that a listener has stays its port. */
export function wantedAddresses(world: WorldReader): readonly Service[] {
  const front = frontService(world);
  if (front === undefined || !givesAddresses(world)) return [];
  const gateways = inPrecedence(
    world.all("Gateway").filter((gateway) => isServedGateway(gateway) && hasOwnAddress(gateway, world) && gateway.spec.listeners.some(isServed)),
  );
  const taken = new Set(gateways.flatMap((gateway) => [...knownPorts(gateway, world).values()]));
  return gateways.map((gateway) => {
    const known = knownPorts(gateway, world);
    const ports = [...servedPorts(gateway)].map(([port, protocol]) => ({
      name: `${protocol.toLowerCase()}-${port}`,
      port,
      protocol: "TCP" as const,
      targetPort: known.get(port) ?? freePort(taken),
    }));
    const { namespace = "", name } = gateway.metadata;
    const [asked] = askedAddresses(gateway);
    return {
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: serviceName(gateway),
        namespace: ingressGateway.namespace,
        labels: { ...(name.length > LONGEST_LABEL ? {} : { [NAME_LABEL]: name }), [NAMESPACE_LABEL]: namespace },
      },
      spec: { type: front.spec.type ?? "ClusterIP", selector: { ...ingressGateway.labels }, ports, ...(asked === undefined ? {} : { loadBalancerIP: asked }) },
    };
  });
}

function frontService(world: WorldReader): Service | undefined {
  return world.get("Service", `${ingressGateway.namespace}/${ingressGateway.service}`);
}

/** "gateway-edge-1a2b3c4d": a Service's name is shorter than a Gateway's may be, and has no dots. */
function serviceName(gateway: Gateway): string {
  const digest = createHash("sha256").update(objectKey(gateway)).digest("hex").slice(0, 8);
  return `gateway-${gateway.metadata.name.replaceAll(".", "-").slice(0, 45)}-${digest}`;
}

function servedPorts({ spec }: Gateway): ReadonlyMap<number, string> {
  return new Map(spec.listeners.filter(isServed).map(({ port, protocol }) => [port, protocol]));
}

function knownPorts(gateway: Gateway, world: WorldReader): ReadonlyMap<number, number> {
  const wanted = servedPorts(gateway);
  const ports = gatewayAddress(gateway, world)?.spec.ports ?? [];
  return new Map(ports.flatMap(({ port, targetPort }) => (typeof targetPort === "number" && wanted.has(port) ? [[port, targetPort] as const] : [])));
}

/** Ten thousand are more than pods can listen on; beyond them listeners get the last one, and the oldest has it. */
function freePort(taken: Set<number>): number {
  let port = FIRST_PORT;
  while (taken.has(port) && port < LAST_PORT) port += 1;
  taken.add(port);
  return port;
}
