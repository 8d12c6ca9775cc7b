/** Route configurations: mesh routes as Envoy's, each with the object and field it came from. */
import { create } from "@bufbuild/protobuf";
import { DataSourceSchema } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { RegexMatcherSchema } from "#wire/envoy/gen/envoy/type/matcher/v3/regex_pb.ts";
import { RouteConfigurationSchema, type RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import {
  DirectResponseActionSchema,
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RouteActionSchema,
  RouteMatchSchema,
  RouteSchema,
  VirtualHostSchema,
  WeightedClusterSchema,
  type HeaderMatcher,
  type QueryParameterMatcher,
  type Route,
  type RouteAction as EnvoyRouteAction,
  type RouteMatch,
  type VirtualHost,
} from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import {
  matchesEveryRequest,
  type Destination,
  type MeshRoute,
  type NamedMatch,
  type PathMatch,
  type RequestMatch,
  type RouteAction,
} from "#compile/mesh/route.ts";
import type { Provenance } from "#model/provenance.ts";
import { headerChanges, redirectAction, rewriteOf } from "./route-changes.ts";
import { durationOf, provenanceMetadata } from "./message.ts";
import { blackHoleCluster, outboundCluster, passthroughCluster } from "./names.ts";
import { stringMatcher } from "./text-matcher.ts";

export interface HostRoutes {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly MeshRoute[];
  readonly by: Provenance;
}

/** A gateway's: whatever port of its clients' side stands behind the name, the name is what counts. */
export function gatewayRouteConfiguration(name: string, hosts: readonly HostRoutes[]): RouteConfiguration {
  return create(RouteConfigurationSchema, { ...routeConfiguration(name, hosts), ignorePortInHostMatching: true });
}

/** Of two virtual hosts that claim one domain the earlier keeps it: Envoy refuses a whole configuration with duplicates. */
export function routeConfiguration(name: string, hosts: readonly HostRoutes[], rest: readonly VirtualHost[] = []): RouteConfiguration {
  const taken = new Set<string>();
  const virtualHosts = hosts.flatMap((host) => {
    const domains = host.domains.filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    return domains.length === 0 ? [] : [virtualHost({ ...host, domains })];
  });
  return create(RouteConfigurationSchema, { name, virtualHosts: [...virtualHosts, ...rest] });
}

function virtualHost({ name, domains, routes, by }: HostRoutes): VirtualHost {
  const last = routes.findIndex(({ match }) => matchesEveryRequest(match));
  const reachable = last < 0 ? routes : routes.slice(0, last + 1);
  return create(VirtualHostSchema, { name, domains: [...domains], routes: reachable.map(route), metadata: provenanceMetadata(by) });
}

/** What is no service of the mesh goes where it was going. */
export function allowAny(): VirtualHost {
  const action = create(RouteActionSchema, { clusterSpecifier: { case: "cluster", value: passthroughCluster }, timeout: durationOf(0) });
  const any = create(RouteSchema, { name: "allow_any", match: routeMatch({ headers: [], query: [] }), action: { case: "route", value: action } });
  return create(VirtualHostSchema, { name: "allow_any", domains: ["*"], routes: [any] });
}

/** Everything to one cluster: the routes of an inbound listener. */
export function inboundRoutes(cluster: string, port: number, by: Provenance): RouteConfiguration {
  const action = create(RouteActionSchema, { clusterSpecifier: { case: "cluster", value: cluster }, timeout: durationOf(0) });
  const metadata = provenanceMetadata(by);
  const everything = create(RouteSchema, {
    name: "default",
    match: routeMatch({ headers: [], query: [] }),
    action: { case: "route", value: action },
    metadata,
  });
  const host = create(VirtualHostSchema, { name: `inbound|http|${port}`, domains: ["*"], routes: [everything], metadata });
  return create(RouteConfigurationSchema, { name: cluster, virtualHosts: [host] });
}

function route({ name, match, action, headers, by }: MeshRoute): Route {
  const metadata = provenanceMetadata(by);
  return create(RouteSchema, { name: name ?? "", match: routeMatch(match), action: routeAction(action, match), metadata, ...headerChanges(headers) });
}

function routeAction(action: RouteAction, match: RequestMatch): Route["action"] {
  switch (action.kind) {
    case "forward":
      return { case: "route", value: forward(action, match) };
    case "redirect":
      return { case: "redirect", value: redirectAction(action.redirect) };
    case "answer": {
      const body = create(DataSourceSchema, { specifier: { case: "inlineString", value: action.body } });
      return { case: "directResponse", value: create(DirectResponseActionSchema, { status: action.status, body }) };
    }
  }
}

/** A timeout of 0 switches Envoy's default of 15 s off, as Istio does. */
function forward({ destinations, timeoutMs, rewrite }: Extract<RouteAction, { kind: "forward" }>, match: RequestMatch): EnvoyRouteAction {
  const rest = { timeout: durationOf(timeoutMs), ...rewriteOf(rewrite, match) };
  const [only] = destinations;
  if (destinations.length === 1 && only !== undefined && only.headers === undefined) {
    return create(RouteActionSchema, { clusterSpecifier: { case: "cluster", value: clusterOf(only) }, ...rest });
  }
  const clusters = destinations.map((destination) => ({
    name: clusterOf(destination),
    weight: destination.weight,
    ...(destination.headers === undefined ? {} : headerChanges(destination.headers)),
  }));
  return create(RouteActionSchema, { clusterSpecifier: { case: "weightedClusters", value: create(WeightedClusterSchema, { clusters }) }, ...rest });
}

function clusterOf({ host, port, subset = "" }: Destination): string {
  return host === undefined ? blackHoleCluster : outboundCluster({ host, port, subset });
}

function routeMatch({ path, headers, query }: RequestMatch): RouteMatch {
  return create(RouteMatchSchema, {
    pathSpecifier: pathSpecifier(path),
    ...(path?.ignoreCase === true ? { caseSensitive: false } : {}),
    headers: headers.map(headerMatcher),
    queryParameters: query.map(queryMatcher),
  });
}

function pathSpecifier(path: PathMatch | undefined): RouteMatch["pathSpecifier"] {
  switch (path?.kind) {
    case undefined:
      return { case: "prefix", value: "/" };
    case "exact":
      return { case: "path", value: path.value };
    case "regex":
      return { case: "safeRegex", value: create(RegexMatcherSchema, { regex: path.value }) };
    case "prefix":
      return { case: "prefix", value: path.value };
    case "segments":
      return path.value === "/" ? { case: "prefix", value: "/" } : { case: "pathSeparatedPrefix", value: path.value };
  }
}

/** "Without this value" holds for a request that has no such header at all, as in Istio. */
function headerMatcher({ name, match, invert = false }: NamedMatch): HeaderMatcher {
  return create(HeaderMatcherSchema, {
    name,
    invertMatch: invert,
    ...(invert && match !== undefined ? { treatMissingHeaderAsEmpty: true } : {}),
    headerMatchSpecifier: match === undefined ? { case: "presentMatch", value: true } : { case: "stringMatch", value: stringMatcher(match) },
  });
}

function queryMatcher({ name, match }: NamedMatch): QueryParameterMatcher {
  return create(QueryParameterMatcherSchema, {
    name,
    queryParameterMatchSpecifier: match === undefined ? { case: "presentMatch", value: true } : { case: "stringMatch", value: stringMatcher(match) },
  });
}
