/**
 * What a gateway pod serves: HTTP and HTTPS servers of Istio's Gateways that select it, and listeners of Gateway API Gateways
 * of our classes, all of which the ingress gateway's pods serve. TLS ends at the gateway.
 */
import type { Service } from "#model/core.ts";
import type { Gateway, GatewayListener, HTTPRoute, ParentReference } from "#model/gateway-api.ts";
import type { IstioGateway } from "#model/istio.ts";
import { matchesLabels, matchesLabelSelector } from "#model/selectors.ts";
import { objectKey } from "#model/object.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { gatewayAddress, isGatewayAddress, isServed, isServedGateway } from "./gateway-address.ts";
import { listenerCertificate } from "./gateway-certificate.ts";
import { intersectHosts, resolveHost } from "./hosts.ts";
import { isGatewayParent, parentNamespace } from "./http-route.ts";
import { inPrecedence } from "./precedence.ts";
import { ingressGateway } from "./settings.ts";
import { fieldOf, provenanceOf } from "./source.ts";
import { inboundPorts, type Workload } from "./workload.ts";

/** One server of one Gateway. */
export interface GatewayServer {
  readonly kind: "IstioGateway" | "Gateway";
  /** "namespace/name" of the Gateway. */
  readonly gateway: string;
  /** As the object says; VirtualServices match on it. */
  readonly port: number;
  /** Where the pod listens. */
  readonly listenPort: number;
  readonly hosts: readonly ServerHost[];
  /** The listener's name, or that of the server's port. */
  readonly section: string;
  /** "namespace/name" of the Secret with the certificate; absent: plain HTTP. */
  readonly secret?: string;
  /** Clients are told to come again by HTTPS. */
  readonly redirectsToHttps?: Provenance;
  readonly by: Provenance;
}

export interface ServerHost {
  readonly host: string;
  /** Only VirtualServices of this namespace may use it; absent: all. */
  readonly namespace?: string;
}

/** An ordinary user's process cannot bind the ports below 1024 that Gateways name: the Service in front maps them. */
export function listenPort(gateway: Workload, services: readonly Service[], port: number): number {
  return mappedPort(gateway, services, port) ?? port;
}

function mappedPort(gateway: Workload, services: readonly Service[], port: number): number | undefined {
  return inboundPorts(gateway, services).find(({ servicePort }) => servicePort.number === port)?.port;
}

export function isIngressGateway(gateway: Workload): boolean {
  return gateway.namespace === ingressGateway.namespace && matchesLabels(ingressGateway.labels, gateway.labels);
}

export function istioServers(gateways: readonly IstioGateway[], pod: Workload, all: readonly Service[]): readonly GatewayServer[] {
  const services = all.filter((service) => !isGatewayAddress(service));
  return inPrecedence(gateways).flatMap((gateway) => {
    if (!matchesLabels(gateway.spec.selector, pod.labels)) return [];
    return (gateway.spec.servers ?? []).flatMap((server, i): GatewayServer[] => {
      const secret = isHttps(server.port.protocol) ? istioSecret(server, pod.namespace) : undefined;
      if (!isHttp(server.port.protocol) && secret === undefined) return [];
      const by = provenanceOf(gateway, `spec.servers[${i}]`);
      return [
        {
          kind: "IstioGateway",
          gateway: objectKey(gateway),
          section: server.port.name,
          port: server.port.number,
          listenPort: listenPort(pod, services, server.port.number),
          hosts: server.hosts.map((host) => serverHost(host, gateway.metadata.namespace ?? "")),
          ...(secret === undefined ? {} : { secret }),
          ...(secret === undefined && server.tls?.httpsRedirect === true ? { redirectsToHttps: fieldOf(by, "tls.httpsRedirect") } : {}),
          by,
        },
      ];
    });
  });
}

type IstioServer = NonNullable<IstioGateway["spec"]["servers"]>[number];

/** The Secret of a server that ends TLS without asking its clients for certificates; it is beside the gateway's pods. */
export function istioSecret({ tls }: IstioServer, podNamespace: string): string | undefined {
  const name = tls?.credentialName ?? "";
  return tls?.mode === "SIMPLE" && name !== "" ? `${podNamespace}/${name}` : undefined;
}

export function isHttp(protocol: string): boolean {
  return protocol.toUpperCase() === "HTTP";
}

export function isHttps(protocol: string): boolean {
  return protocol.toUpperCase() === "HTTPS";
}

/** "namespace/host", "./host", "*\/host" or "host". */
function serverHost(written: string, namespace: string): ServerHost {
  const slash = written.indexOf("/");
  const host = resolveHost(written.slice(slash + 1), namespace);
  const scope = slash < 0 ? "*" : written.slice(0, slash);
  return scope === "*" ? { host } : { host, namespace: scope === "." ? namespace : scope };
}

export function gatewayApiServers(pod: Workload, all: readonly Service[], world: WorldReader): readonly GatewayServer[] {
  if (!isIngressGateway(pod)) return [];
  const services = all.filter((service) => !isGatewayAddress(service));
  return inPrecedence(world.all("Gateway").filter(isServedGateway)).flatMap((gateway) => {
    const own = gatewayAddress(gateway, world);
    return gateway.spec.listeners.flatMap((listener, i): GatewayServer[] => {
      if (!isServed(listener)) return [];
      const certificate = listener.protocol === "HTTPS" ? listenerCertificate(gateway, listener, world) : undefined;
      if (certificate !== undefined && "problem" in certificate) return [];
      const server: Omit<GatewayServer, "listenPort"> = {
        kind: "Gateway",
        gateway: objectKey(gateway),
        section: listener.name,
        port: listener.port,
        hosts: [{ host: listener.hostname ?? "*" }],
        ...(certificate === undefined ? {} : { secret: certificate.secret }),
        by: provenanceOf(gateway, `spec.listeners[${i}]`),
      };
      return portsOf(pod, { own, services }, listener).map((port) => ({ ...server, listenPort: port }));
    });
  });
}

/** Where the pod listens for a Gateway: for its own address, and for the one that all Gateways share, if that has the port. */
function portsOf(
  pod: Workload,
  { own, services }: { readonly own: Service | undefined; readonly services: readonly Service[] },
  { port }: GatewayListener,
): readonly number[] {
  const ownPort = own === undefined ? undefined : mappedPort(pod, [own], port);
  if (ownPort === undefined) return [listenPort(pod, services, port)];
  const shared = mappedPort(pod, services, port);
  return shared === undefined ? [ownPort] : [shared, ownPort];
}

/** Whether a route's reference names this listener and the listener lets the route in. */
export function attaches(route: HTTPRoute, parent: ParentReference, gateway: Gateway, listener: GatewayListener, world: WorldReader): boolean {
  return refersTo(route, parent, gateway, listener) && admits(route, gateway, listener, world) && hostnamesOn(route, listener.hostname).length > 0;
}

export function refersTo(route: HTTPRoute, parent: ParentReference, gateway: Gateway, listener: GatewayListener): boolean {
  if (!isGatewayParent(parent) || parent.name !== gateway.metadata.name || parentNamespace(route, parent) !== gateway.metadata.namespace) return false;
  return (parent.sectionName ?? listener.name) === listener.name && (parent.port ?? listener.port) === listener.port;
}

export function admits(route: HTTPRoute, gateway: Gateway, listener: GatewayListener, world: WorldReader): boolean {
  const { from = "Same", selector } = listener.allowedRoutes?.namespaces ?? {};
  const kinds = listener.allowedRoutes?.kinds ?? [];
  if (kinds.length > 0 && !kinds.some(({ kind }) => kind === "HTTPRoute")) return false;
  if (from === "All") return true;
  const namespace = route.metadata.namespace ?? "";
  if (from === "Same") return namespace === gateway.metadata.namespace;
  return matchesLabelSelector(selector, world.get("Namespace", namespace)?.metadata.labels);
}

/** Hosts of a route that a listener serves. */
export function hostnamesOn(route: HTTPRoute, hostname: string | undefined): readonly string[] {
  const own = route.spec.hostnames ?? [];
  const hosts = (own.length === 0 ? ["*"] : own).flatMap((host) => intersectHosts(host, hostname ?? "*") ?? []);
  return [...new Set(hosts)];
}
