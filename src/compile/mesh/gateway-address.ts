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
import { inPrecedence } from "./precedence.ts";
import { gatewayClasses, ingressGateway } from "./settings.ts";

/** On the Service of the ingress gateway: "own" gives each Gateway an address, anything else or nothing one to all of them. */
export const ADDRESSES_ANNOTATION = "weft.dev/gateway-addresses";
/** On a Gateway's Service: whose it is, as others label it too. */
const NAME_LABEL = "gateway.networking.k8s.io/gateway-name";
export const NAMESPACE_LABEL = "weft.dev/gateway-namespace";
const LONGEST_LABEL = 63;
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

export function givesAddresses(world: WorldReader): boolean {
  return frontService(world)?.metadata.annotations?.[ADDRESSES_ANNOTATION] === "own";
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
  const gateways = inPrecedence(world.all("Gateway").filter((gateway) => isOurs(gateway) && gateway.spec.listeners.some(isServed)));
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
    return {
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: serviceName(gateway),
        namespace: ingressGateway.namespace,
        labels: { ...(name.length > LONGEST_LABEL ? {} : { [NAME_LABEL]: name }), [NAMESPACE_LABEL]: namespace },
      },
      spec: { type: front.spec.type ?? "ClusterIP", selector: { ...ingressGateway.labels }, ports },
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
