/** Gateway API HTTPRoute: its rules as mesh routes, in the order that the specification gives to matches of many routes. */
import type { HTTPRoute, HTTPRouteMatch, HTTPRouteRule, ParentReference } from "#model/gateway-api.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { parseDurationMs } from "./duration.ts";
import { serviceHost } from "./hosts.ts";
import { byPrecedence } from "./precedence.ts";
import {
  everyRequest,
  isUsable,
  type Destination,
  type HeaderChange,
  type HeaderChanges,
  type MeshRoute,
  type NamedMatch,
  type PathMatch,
  type PathRewrite,
  type Redirect,
  type RequestMatch,
  type Rewrite,
  type RouteAction,
} from "./route.ts";
import { findPort, findService } from "./service.ts";
import { fieldOf, provenanceOf } from "./source.ts";

export function isServiceParent({ group, kind }: ParentReference): boolean {
  return kind === "Service" && (group ?? "gateway.networking.k8s.io") === "";
}

export function isGatewayParent({ group, kind }: ParentReference): boolean {
  return (kind ?? "Gateway") === "Gateway" && (group ?? "gateway.networking.k8s.io") === "gateway.networking.k8s.io";
}

export function parentNamespace(route: HTTPRoute, parent: ParentReference): string {
  return parent.namespace ?? route.metadata.namespace ?? "";
}

/** Hosts of the services that a route steers (GAMMA), with the port it restricts itself to. */
export function serviceParents(route: HTTPRoute): readonly { readonly host: string; readonly port: number | undefined; readonly index: number }[] {
  return (route.spec.parentRefs ?? []).flatMap((parent, index) =>
    isServiceParent(parent) ? [{ host: serviceHost(parentNamespace(route, parent), parent.name), port: parent.port, index }] : [],
  );
}

/** The listener by which requests come in: what a redirect that names no port leads to. */
export interface RouteDoor {
  readonly port: number;
  readonly scheme: "http" | "https";
}

/** Routes of several objects for one host, most specific match first. Without a door they are those of the mesh. */
export function routesOfHttpRoutes(routes: readonly HTTPRoute[], world: WorldReader, door?: RouteDoor): readonly MeshRoute[] {
  const entries = routes.toSorted(byPrecedence).flatMap((route, age) =>
    (route.spec.rules ?? []).flatMap((rule, i) => {
      const by = provenanceOf(route, `spec.rules[${i}]`);
      const action = actionOf(route, rule, by, { world, door });
      return matchesOf(rule).map(({ match, index }) => ({
        age,
        made: { match: requestMatch(match), action, headers: headersOf(rule), by: index === undefined ? by : fieldOf(by, `matches[${index}]`) },
      }));
    }),
  );
  return entries
    .toSorted((a, b) => compareSpecificity(a.made.match, b.made.match) || a.age - b.age)
    .map(({ made }) => made)
    .filter(({ match }) => isUsable(match));
}

function matchesOf({ matches = [] }: HTTPRouteRule): readonly { readonly match: HTTPRouteMatch; readonly index?: number }[] {
  return matches.length === 0 ? [{ match: {} }] : matches.map((match, index) => ({ match, index }));
}

function requestMatch({ path, headers = [], queryParams = [], method }: HTTPRouteMatch): RequestMatch {
  const named = ({ name, value, type }: { readonly name: string; readonly value: string; readonly type?: string }): NamedMatch => ({
    name,
    match: { kind: type === "RegularExpression" ? "regex" : "exact", value },
  });
  const ofMethod: NamedMatch[] = method === undefined ? [] : [{ name: ":method", match: { kind: "exact", value: method } }];
  return {
    ...everyRequest,
    ...(path === undefined ? {} : { path: pathMatch(path) }),
    headers: [...ofMethod, ...headers.map((header) => named({ ...header, name: header.name.toLowerCase() }))],
    query: queryParams.map(named),
  };
}

function pathMatch({ type, value = "/" }: NonNullable<HTTPRouteMatch["path"]>): PathMatch {
  if (type === "Exact") return { kind: "exact", value };
  if (type === "RegularExpression") return { kind: "regex", value };
  return { kind: "segments", value: value.replace(/(?<=.)\/$/, "") };
}

/** Exact path, then the longest prefix, then a method, then most headers, then most query parameters (regexes last). */
function compareSpecificity(a: RequestMatch, b: RequestMatch): number {
  const rank = (match: RequestMatch): readonly number[] => {
    const method = match.headers.filter(({ name }) => name === ":method").length;
    const kind = { exact: 3, segments: 2, prefix: 2, regex: 1 }[match.path?.kind ?? "prefix"];
    const length = match.path === undefined ? 1 : match.path.value.length;
    return [kind, length, method, match.headers.length - method, match.query.length];
  };
  const [left, right] = [rank(a), rank(b)];
  for (const [i, value] of left.entries()) if (value !== right[i]) return (right[i] ?? 0) - value;
  return 0;
}

interface Surroundings {
  readonly world: WorldReader;
  readonly door: RouteDoor | undefined;
}

function actionOf(route: HTTPRoute, rule: HTTPRouteRule, by: Provenance, { world, door }: Surroundings): RouteAction {
  const { backendRefs = [], filters = [] } = rule;
  const object = `HTTPRoute ${route.metadata.namespace ?? ""}/${route.metadata.name}`;
  const unknown = unknownFilter(rule);
  if (unknown !== undefined) return { kind: "answer", status: 500, body: `${object} ${by.field}.${unknown}` };
  const redirect = filters.find(({ requestRedirect }) => requestRedirect !== undefined)?.requestRedirect;
  if (redirect !== undefined) return { kind: "redirect", redirect: redirectOf(redirect, door) };
  const destinations = backendRefs.flatMap((ref, i): Destination[] => {
    const weight = ref.weight ?? 1;
    if (weight === 0) return [];
    const problem = backendProblem(route, ref, world, { isMesh: door === undefined });
    const host = serviceHost(ref.namespace ?? route.metadata.namespace ?? "", ref.name);
    const headers = ref.filters === undefined ? {} : { headers: headersOf(ref) };
    const canBeUsed = problem === undefined && unknownFilter(ref) === undefined;
    return [{ host: canBeUsed ? host : undefined, port: ref.port ?? 0, weight, ...headers, by: fieldOf(by, `backendRefs[${i}]`) }];
  });
  if (!destinations.some(({ host }) => host !== undefined)) {
    return { kind: "answer", status: 500, body: `${object} ${by.field} has no backend that can be used` };
  }
  const rewrite = filters.find(({ urlRewrite }) => urlRewrite !== undefined)?.urlRewrite;
  const timeoutMs = timeoutOf(rule);
  return { kind: "forward", destinations, timeoutMs, ...(rewrite === undefined ? {} : { rewrite: rewriteOf(rewrite) }) };
}

/**
 * The filter that somebody else defines (extensionRef): we know none, and it may be what keeps somebody out, so what it stands
 * before is not served without it (Gateway API, HTTPRouteFilter).
 */
function unknownFilter({ filters = [] }: Pick<HTTPRouteRule, "filters">): string | undefined {
  for (const [i, { extensionRef }] of filters.entries()) {
    if (extensionRef !== undefined) return `filters[${i}].extensionRef names ${extensionRef.kind} ${extensionRef.name}: Weft knows no filter of that kind`;
  }
  return undefined;
}

/** Nothing is tried twice, so the request to the backend is the whole request, and the shorter limit counts. 0: none. */
function timeoutOf({ timeouts = {} }: HTTPRouteRule): number {
  const limits = [timeouts.request, timeouts.backendRequest].map((text) => parseDurationMs(text ?? "0s") ?? 0).filter((ms) => ms > 0);
  return limits.length === 0 ? 0 : Math.min(...limits);
}

type Filter = NonNullable<HTTPRouteRule["filters"]>[number];

const wellKnownPorts = { http: 80, https: 443 } as const;

/** To another host by the same scheme: the port is the listener's. Without another host the client's own words stand, port and all. */
function redirectOf({ scheme, hostname, port: given, statusCode, path }: NonNullable<Filter["requestRedirect"]>, door: RouteDoor | undefined): Redirect {
  const isUnusual = door !== undefined && door.port !== wellKnownPorts[door.scheme];
  const port = given ?? (isUnusual && scheme === undefined && hostname !== undefined ? door.port : undefined);
  return {
    status: statusCode ?? 302,
    ...(scheme === undefined ? {} : { scheme }),
    ...(hostname === undefined ? {} : { host: hostname }),
    ...(port === undefined ? {} : { port }),
    ...pathRewrite(path),
  };
}

function rewriteOf({ hostname, path }: NonNullable<Filter["urlRewrite"]>): Rewrite {
  return { ...(hostname === undefined ? {} : { host: hostname }), ...pathRewrite(path) };
}

function pathRewrite(path: NonNullable<Filter["urlRewrite"]>["path"]): { readonly path?: PathRewrite } {
  if (path === undefined) return {};
  return {
    path: path.type === "ReplaceFullPath" ? { kind: "full", value: path.replaceFullPath ?? "/" } : { kind: "prefix", value: path.replacePrefixMatch ?? "/" },
  };
}

function headersOf({ filters = [] }: Pick<HTTPRouteRule, "filters">): HeaderChanges {
  const [request] = filters.flatMap(({ requestHeaderModifier: change }) => (change === undefined ? [] : [headerChange(change)]));
  const [response] = filters.flatMap(({ responseHeaderModifier: change }) => (change === undefined ? [] : [headerChange(change)]));
  return { ...(request === undefined ? {} : { request }), ...(response === undefined ? {} : { response }) };
}

function headerChange({ set = [], add = [], remove = [] }: NonNullable<Filter["requestHeaderModifier"]>): HeaderChange {
  const pairs = (list: readonly { readonly name: string; readonly value: string }[]) => list.map(({ name, value }) => [name, value] as const);
  return { set: pairs(set), add: pairs(add), remove };
}

export interface BackendProblem {
  /** A reason of the condition ResolvedRefs. */
  readonly reason: "InvalidKind" | "RefNotPermitted" | "BackendNotFound";
  readonly message: string;
}

type BackendRef = NonNullable<HTTPRouteRule["backendRefs"]>[number];

/**
 * Only a gateway asks for leave to send to another namespace: it carries strangers' requests. In the mesh it is the client's own
 * request, which could go there without any route.
 */
export function backendProblem(route: HTTPRoute, ref: BackendRef, world: WorldReader, { isMesh }: { readonly isMesh: boolean }): BackendProblem | undefined {
  const kind = ref.kind ?? "Service";
  if ((ref.group ?? "") !== "" || kind !== "Service") return { reason: "InvalidKind", message: `a backend of kind ${kind} is not supported; use a Service` };
  const namespace = ref.namespace ?? route.metadata.namespace ?? "";
  if (!isMesh && !isGranted(route, { namespace, name: ref.name }, world)) {
    return {
      reason: "RefNotPermitted",
      message: `no ReferenceGrant in namespace ${namespace} lets HTTPRoutes of ${route.metadata.namespace ?? ""} name Service ${ref.name}`,
    };
  }
  const service = findService(world, serviceHost(namespace, ref.name));
  if (service === undefined) return { reason: "BackendNotFound", message: `Service ${namespace}/${ref.name} does not exist` };
  if (findPort(service, ref.port ?? 0) === undefined) {
    const ports = service.ports.map(({ number }) => number).join(", ");
    return { reason: "BackendNotFound", message: `Service ${namespace}/${ref.name} has no port ${ref.port ?? "(none given)"} (it has ${ports})` };
  }
  return undefined;
}

function isGranted(route: HTTPRoute, service: { readonly namespace: string; readonly name: string }, world: WorldReader): boolean {
  if (service.namespace === route.metadata.namespace) return true;
  return world.inNamespace("ReferenceGrant", service.namespace).some(({ spec }) => {
    const from = spec.from.some(
      ({ group, kind, namespace }) => group === "gateway.networking.k8s.io" && kind === "HTTPRoute" && namespace === route.metadata.namespace,
    );
    return from && spec.to.some(({ group, kind, name }) => group === "" && kind === "Service" && (name === undefined || name === service.name));
  });
}
