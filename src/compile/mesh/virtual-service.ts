/** VirtualService: which hosts and gateways it speaks for, and its HTTP routes for one client and one listener port. */
import type { Destination as IstioDestination, HttpMatch, StringMatch, VirtualService, VirtualServiceHttpRoute } from "#model/istio.ts";
import type { Provenance } from "#model/provenance.ts";
import { matchesLabels } from "#model/selectors.ts";
import { parseDurationMs } from "./duration.ts";
import { resolveHost } from "./hosts.ts";
import {
  everyRequest,
  isUsable,
  type Destination,
  type HeaderChange,
  type HeaderChanges,
  type MeshRoute,
  type NamedMatch,
  type PathRewrite,
  type Redirect,
  type RequestMatch,
  type Rewrite,
  type RouteAction,
  type TextMatch,
} from "./route.ts";
import { fieldOf, provenanceOf } from "./source.ts";

/** The name that stands for all sidecars in `gateways`. */
export const meshGateway = "mesh";

export function hostsOf(virtualService: VirtualService): readonly string[] {
  return (virtualService.spec.hosts ?? []).filter(isHost).map((host) => resolveHost(host, virtualService.metadata.namespace ?? ""));
}

/** A name, "*" or "*.name"; proxies refuse others, and everything beside them. */
export function isHost(host: string): boolean {
  return host === "*" || /^(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$/.test(host);
}

/** "mesh" or "namespace/name" of Istio Gateways. */
export function gatewaysOf(virtualService: VirtualService): readonly string[] {
  const gateways = virtualService.spec.gateways ?? [];
  return gateways.length === 0 ? [meshGateway] : gateways.map((gateway) => gatewayKey(gateway, virtualService));
}

function gatewayKey(gateway: string, { metadata }: VirtualService): string {
  return gateway === meshGateway || gateway.includes("/") ? gateway : `${metadata.namespace ?? ""}/${gateway}`;
}

/** For whom routes are made. */
export interface RouteContext {
  /** "mesh", or the Istio Gateway's key. */
  readonly gateway: string;
  readonly port: number;
  /** The client, when it is a sidecar. */
  readonly client: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  /** The port of a destination that names none. */
  readonly onlyPortOf: (host: string) => number | undefined;
}

export function routesOf(virtualService: VirtualService, context: RouteContext): readonly MeshRoute[] {
  return (virtualService.spec.http ?? []).flatMap((route, i) => {
    const by = provenanceOf(virtualService, `spec.http[${i}]`);
    const action = actionOf(route, virtualService, by, context);
    const headers = headersOf(route);
    const named = { ...(route.name === undefined ? {} : { name: route.name }), ...(headers === undefined ? {} : { headers }) };
    if ((route.match ?? []).length === 0) return [{ ...named, match: everyRequest, action, by }];
    return (route.match ?? []).flatMap((written, j) => {
      const match = requestMatch(written);
      return concerns(written, virtualService, context) && isUsable(match) ? [{ ...named, match, action, by: fieldOf(by, `match[${j}]`) }] : [];
    });
  });
}

/** Whether the parts of a match that are known before any request hold for this client and port. */
function concerns(match: HttpMatch, virtualService: VirtualService, { gateway, port, client }: RouteContext): boolean {
  const gateways = match.gateways ?? [];
  if (gateways.length > 0 && !gateways.some((name) => gatewayKey(name, virtualService) === gateway)) return false;
  if ((match.port ?? 0) !== 0 && match.port !== port) return false;
  if (gateway !== meshGateway) return true;
  if ((match.sourceNamespace ?? client.namespace) !== client.namespace) return false;
  return matchesLabels(match.sourceLabels, client.labels);
}

function requestMatch(match: HttpMatch): RequestMatch {
  const uri = match.uri === undefined ? undefined : textMatch(match.uri);
  const pseudo = (name: string, matcher: StringMatch | undefined): NamedMatch[] => (matcher === undefined ? [] : [named(name, matcher)]);
  return {
    ...(uri === undefined ? {} : { path: { ...uri, ...(match.ignoreUriCase === true ? { ignoreCase: true } : {}) } }),
    headers: [
      ...pseudo(":method", match.method),
      ...pseudo(":authority", match.authority),
      ...pseudo(":scheme", match.scheme),
      ...sortedEntries(match.headers).map(([name, matcher]) => named(name.toLowerCase(), matcher)),
      ...sortedEntries(match.withoutHeaders).map(([name, matcher]) => ({ ...named(name.toLowerCase(), matcher), invert: true })),
    ],
    query: sortedEntries(match.queryParams).map(([name, matcher]) => named(name, matcher)),
  };
}

function sortedEntries<V>(record: Readonly<Record<string, V>> | undefined): readonly [string, V][] {
  return Object.entries(record ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

function named(name: string, matcher: StringMatch): NamedMatch {
  const match = textMatch(matcher);
  return match === undefined ? { name } : { name, match };
}

function textMatch({ exact, prefix, regex }: StringMatch): TextMatch | undefined {
  if (exact !== undefined) return { kind: "exact", value: exact };
  if (prefix !== undefined) return { kind: "prefix", value: prefix };
  return regex === undefined ? undefined : { kind: "regex", value: regex };
}

function actionOf(route: VirtualServiceHttpRoute, virtualService: VirtualService, by: Provenance, context: RouteContext): RouteAction {
  if (route.redirect !== undefined) return { kind: "redirect", redirect: redirectOf(route.redirect) };
  if (route.directResponse !== undefined) return { kind: "answer", status: route.directResponse.status, body: route.directResponse.body?.string ?? "" };
  const destinations = destinationsOf(route, virtualService, by, context);
  if (destinations.length > 0) {
    const rewrite = rewriteOf(route);
    return { kind: "forward", destinations, timeoutMs: parseDurationMs(route.timeout ?? "0s") ?? 0, ...(rewrite === undefined ? {} : { rewrite }) };
  }
  const object = `VirtualService ${virtualService.metadata.namespace ?? ""}/${virtualService.metadata.name}`;
  if (route.delegate === undefined) return { kind: "answer", status: 503, body: `${object} ${by.field} names no destination with a weight above 0` };
  return { kind: "answer", status: 501, body: `${object} ${by.field}.delegate is not supported` };
}

function redirectOf({ uri, authority, port, scheme, redirectCode, prefixRewrite }: NonNullable<VirtualServiceHttpRoute["redirect"]>): Redirect {
  const path: PathRewrite | undefined =
    uri !== undefined ? { kind: "full", value: uri } : prefixRewrite !== undefined ? { kind: "prefix", value: prefixRewrite } : undefined;
  return {
    status: redirectCode ?? 301,
    ...(scheme === undefined ? {} : { scheme }),
    ...(authority === undefined ? {} : { host: authority }),
    ...(port === undefined ? {} : { port }),
    ...(path === undefined ? {} : { path }),
  };
}

function rewriteOf({ rewrite }: VirtualServiceHttpRoute): Rewrite | undefined {
  const { uri = "", authority = "" } = rewrite ?? {};
  if (uri === "" && authority === "") return undefined;
  return { ...(uri === "" ? {} : { path: { kind: "prefix", value: uri } }), ...(authority === "" ? {} : { host: authority }) };
}

function headersOf({ headers }: VirtualServiceHttpRoute): HeaderChanges | undefined {
  if (headers === undefined) return undefined;
  const change = (written: NonNullable<typeof headers>["request"]): HeaderChange | undefined =>
    written === undefined ? undefined : { set: sortedEntries(written.set), add: sortedEntries(written.add), remove: written.remove ?? [] };
  const [request, response] = [change(headers.request), change(headers.response)];
  return { ...(request === undefined ? {} : { request }), ...(response === undefined ? {} : { response }) };
}

function destinationsOf({ route = [] }: VirtualServiceHttpRoute, virtualService: VirtualService, by: Provenance, context: RouteContext): Destination[] {
  const weight = (i: number): number => (route.length === 1 ? 100 : (route[i]?.weight ?? 0));
  return route.flatMap(({ destination }, i) =>
    weight(i) === 0 ? [] : [resolveDestination(destination, { weight: weight(i), by: fieldOf(by, `route[${i}].destination`) }, virtualService, context)],
  );
}

function resolveDestination(
  { host: written, port, subset }: IstioDestination,
  rest: Pick<Destination, "weight" | "by">,
  { metadata }: VirtualService,
  context: RouteContext,
): Destination {
  const host = resolveHost(written, metadata.namespace ?? "");
  return { host, port: port?.number ?? context.onlyPortOf(host) ?? context.port, ...((subset ?? "") === "" ? {} : { subset }), ...rest };
}

/** Label keys that any match of these routes asks of its clients: clients that agree on them share routes. */
export function sourceLabelKeys(virtualServices: readonly VirtualService[]): readonly string[] {
  const keys = new Set<string>();
  for (const { spec } of virtualServices)
    for (const { match = [] } of spec.http ?? []) for (const { sourceLabels = {} } of match) for (const key of Object.keys(sourceLabels)) keys.add(key);
  return [...keys].sort();
}
