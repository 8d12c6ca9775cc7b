/** Which object steers the HTTP requests that sidecars send to a host: of several claims the oldest wins. */
import type { HTTPRoute } from "#model/gateway-api.ts";
import type { VirtualService } from "#model/istio.ts";
import type { WorldReader } from "#model/world.ts";
import { bySpecificity, covers, parseServiceHost } from "./hosts.ts";
import { routesOfHttpRoutes, serviceParents } from "./http-route.ts";
import { byPrecedence, inPrecedence } from "./precedence.ts";
import { everyRequest, type MeshRoute } from "./route.ts";
import type { MeshPort, MeshService } from "./service.ts";
import { gatewaysOf, hostsOf, meshGateway, routesOf, type RouteContext } from "./virtual-service.ts";

/** Steering objects by the host they name. */
export interface MeshClaims {
  readonly virtualServices: ReadonlyMap<string, readonly VirtualService[]>;
  /** Wildcards among them, most specific first. */
  readonly wildcards: readonly string[];
  readonly httpRoutes: ReadonlyMap<string, readonly HTTPRoute[]>;
}

export function meshClaims(world: WorldReader): MeshClaims {
  const virtualServices = new Map<string, VirtualService[]>();
  for (const virtualService of inPrecedence(world.all("VirtualService"))) {
    if (!gatewaysOf(virtualService).includes(meshGateway)) continue;
    for (const host of new Set(hostsOf(virtualService))) if (host !== "*") push(virtualServices, host, virtualService);
  }
  const httpRoutes = new Map<string, HTTPRoute[]>();
  for (const route of inPrecedence(world.all("HTTPRoute"))) {
    for (const host of new Set(serviceParents(route).map((parent) => parent.host))) push(httpRoutes, host, route);
  }
  const wildcards = [...virtualServices.keys()].filter((host) => host.startsWith("*")).sort(bySpecificity);
  return { virtualServices, wildcards, httpRoutes };
}

function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Hosts that are no services, each with the VirtualService in force. */
export function foreignHosts({ virtualServices }: MeshClaims): readonly (readonly [string, VirtualService])[] {
  return [...virtualServices].flatMap(([host, [first]]) => (first === undefined || parseServiceHost(host) !== undefined ? [] : [[host, first] as const]));
}

export interface HostClaim {
  /** In order of precedence; only the first is in force. */
  readonly virtualServices: readonly VirtualService[];
  /** All in force together, if they are in force. */
  readonly httpRoutes: readonly HTTPRoute[];
}

export function claimOf(host: string, claims: MeshClaims): HostClaim {
  const wildcard = claims.wildcards.find((pattern) => covers(pattern, host));
  const virtualServices = claims.virtualServices.get(host) ?? (wildcard === undefined ? [] : claims.virtualServices.get(wildcard)) ?? [];
  return { virtualServices, httpRoutes: claims.httpRoutes.get(host) ?? [] };
}

/** Who is in force. */
export function winnerOf({ virtualServices: [virtualService], httpRoutes }: HostClaim): VirtualService | readonly HTTPRoute[] | undefined {
  const [oldest] = httpRoutes;
  if (oldest === undefined) return virtualService;
  return virtualService !== undefined && byPrecedence(virtualService, oldest) < 0 ? virtualService : httpRoutes;
}

export interface ServiceRoutesQuestion {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly claim: HostClaim;
  readonly context: RouteContext;
  readonly world: WorldReader;
}

/** A service's routes for one client; where nothing steers it, everything goes to the service itself. */
export function serviceRoutes({ service, port, claim, context, world }: ServiceRoutesQuestion): readonly MeshRoute[] {
  const winner = winnerOf(narrowed(claim, service, port, context));
  if (winner === undefined) return [wholeService(service, port)];
  return isHttpRoutes(winner) ? routesOfHttpRoutes(winner, world) : routesOf(winner, context);
}

function isHttpRoutes(winner: VirtualService | readonly HTTPRoute[]): winner is readonly HTTPRoute[] {
  return Array.isArray(winner);
}

/** HTTPRoutes of the service's own namespace are for all clients, others for clients of their own namespace (GAMMA). */
function narrowed(claim: HostClaim, service: MeshService, port: MeshPort, { client }: RouteContext): HostClaim {
  const concerning = claim.httpRoutes.filter((route) =>
    serviceParents(route).some((parent) => parent.host === service.host && (parent.port ?? port.number) === port.number),
  );
  const consumers = concerning.filter(({ metadata }) => metadata.namespace === client.namespace && client.namespace !== service.namespace);
  const producers = concerning.filter(({ metadata }) => metadata.namespace === service.namespace);
  return { ...claim, httpRoutes: consumers.length > 0 ? consumers : producers };
}

function wholeService(service: MeshService, port: MeshPort): MeshRoute {
  const destination = { host: service.host, port: port.number, weight: 100, by: port.by };
  return { name: "default", match: everyRequest, action: { kind: "forward", destinations: [destination], timeoutMs: 0 }, by: port.by };
}
