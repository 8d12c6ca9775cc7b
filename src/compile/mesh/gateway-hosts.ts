/** Which routes a gateway pod has for which host names, on one of its ports. */
import type { VirtualService } from "#model/istio.ts";
import type { Gateway, GatewayListener, HTTPRoute } from "#model/gateway-api.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { attaches, hostnamesOn, type GatewayServer } from "./gateway.ts";
import { bySpecificity, covers, intersectHosts } from "./hosts.ts";
import { routesOfHttpRoutes } from "./http-route.ts";
import { inPrecedence } from "./precedence.ts";
import { everyRequest, type MeshRoute } from "./route.ts";
import { gatewaysOf, hostsOf, routesOf, type RouteContext } from "./virtual-service.ts";

export interface GatewayHost {
  readonly host: string;
  readonly routes: readonly MeshRoute[];
  readonly by: Provenance;
}

type Ports = RouteContext["onlyPortOf"];

/**
 * Servers that share a route configuration. Routes of several VirtualServices for one host follow each other, oldest first; those of
 * HTTPRoutes come before them, in their own order.
 */
export function gatewayHosts(servers: readonly GatewayServer[], world: WorldReader, onlyPortOf: Ports): readonly GatewayHost[] {
  const hosts = new Map<string, { readonly by: Provenance; readonly httpRoutes: Set<HTTPRoute>; readonly routes: MeshRoute[] }>();
  const at = (host: string, by: Provenance) => {
    const found = hosts.get(host) ?? { by, httpRoutes: new Set<HTTPRoute>(), routes: [] };
    hosts.set(host, found);
    return found;
  };
  for (const server of servers) {
    const { redirectsToHttps } = server;
    if (redirectsToHttps !== undefined) {
      for (const { host } of server.hosts) at(host, server.by).routes.push(toHttps(redirectsToHttps));
    } else if (server.kind === "Gateway") {
      // A listener without routes keeps its host: what comes for it must not fall to a listener that names it less closely.
      for (const { host } of server.hosts) if (host !== "*") at(host, server.by);
      for (const { host, route } of httpRoutesOn(server, world)) at(host, server.by).httpRoutes.add(route);
    } else {
      for (const { host, virtualService } of virtualServicesOn(server, world)) {
        const context = { gateway: server.gateway, port: server.port, client: { namespace: "", labels: {} }, onlyPortOf };
        at(host, server.by).routes.push(...routesOf(virtualService, context));
      }
    }
  }
  const [first] = servers;
  const door = first && ({ port: first.port, scheme: first.secret === undefined ? "http" : "https" } as const);
  return [...hosts]
    .map(([host, { by, httpRoutes, routes }]) => ({ host, by, routes: [...routesOfHttpRoutes([...httpRoutes], world, door), ...routes] }))
    .sort((a, b) => bySpecificity(a.host, b.host) || (a.host < b.host ? -1 : 1));
}

function toHttps(by: Provenance): MeshRoute {
  return { name: "https-redirect", match: everyRequest, action: { kind: "redirect", redirect: { scheme: "https", status: 301 } }, by };
}

function virtualServicesOn(server: GatewayServer, world: WorldReader): readonly { readonly host: string; readonly virtualService: VirtualService }[] {
  const attached = world.all("VirtualService").filter((virtualService) => gatewaysOf(virtualService).includes(server.gateway));
  return inPrecedence(attached).flatMap((virtualService) => {
    const usable = server.hosts.filter(({ namespace }) => namespace === undefined || namespace === virtualService.metadata.namespace);
    const hosts = hostsOf(virtualService).flatMap((host) => usable.flatMap((served) => intersectHosts(host, served.host) ?? []));
    return [...new Set(hosts)].map((host) => ({ host, virtualService }));
  });
}

function httpRoutesOn(server: GatewayServer, world: WorldReader): readonly { readonly host: string; readonly route: HTTPRoute }[] {
  const gateway = world.get("Gateway", server.gateway);
  const listener = gateway?.spec.listeners.find(({ name }) => name === server.section);
  if (gateway === undefined || listener === undefined) return [];
  const narrower = narrowerHosts(gateway, listener);
  return world.all("HTTPRoute").flatMap((route) => {
    if (!(route.spec.parentRefs ?? []).some((parent) => attaches(route, parent, gateway, listener, world))) return [];
    const hosts = hostnamesOn(route, listener.hostname).filter((host) => !narrower.some((each) => covers(each, host)));
    return hosts.map((host) => ({ host, route }));
  });
}

/** Hosts on the listener's port that another listener of the Gateway has, because it names them more closely. */
function narrowerHosts({ spec }: Gateway, { name, port, protocol, hostname = "*" }: GatewayListener): readonly string[] {
  return spec.listeners.flatMap((other) => {
    const isNarrower = other.hostname !== undefined && other.hostname !== hostname && covers(hostname, other.hostname);
    return other.name !== name && other.port === port && other.protocol === protocol && isNarrower ? [other.hostname] : [];
  });
}
