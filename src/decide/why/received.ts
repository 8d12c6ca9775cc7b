/** A request on its way through proxies: as one receives it, and as a route of it sends it on. */
import { headerName } from "#wire/http/header-name.ts";
import type { AccessRecord } from "#decide/access-log/access-log.ts";
import { trustedHop } from "#decide/forwarded-for.ts";
import { normalizedPath } from "#decide/normalized-path.ts";
import { changedRequest, type ConnectionView, type ImaginedRequest } from "#decide/request-view.ts";
import { compileMutations } from "#decide/route/header-mutation.ts";
import { compileHostRewrite, compilePathRewrite } from "#decide/route/rewrite.ts";
import type { RouteEntry } from "#decide/route/route-table.ts";
import { formatIp, parseIp } from "#lib/ip.ts";
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import type { HttpEnd } from "./chain.ts";

const FORWARDED_FOR = headerName("x-forwarded-for");

export interface Received {
  readonly request: ImaginedRequest;
  /** With the client that trusted headers name. */
  readonly connection: ConnectionView;
}

/** undefined: the path cannot be read, and the request is refused. */
export function receivedRequest({ manager }: HttpEnd, request: ImaginedRequest, connection: ConnectionView): Received | undefined {
  const path = normalizedPath(request.path, { normalizePath: manager.normalizePath ?? false, mergeSlashes: manager.mergeSlashes });
  if (path === undefined) return undefined;
  const next = changedRequest(request, { path });
  const hops = manager.xffNumTrustedHops;
  const isEdge = manager.useRemoteAddress ?? false;
  const direct = connection.directRemote.ip;
  const believed = isEdge ? (hops > 0 ? trustedHop(next.header(FORWARDED_FOR), hops - 1) : undefined) : trustedHop(next.header(FORWARDED_FOR), hops);
  if (isEdge && !manager.skipXffAppend && direct !== undefined) {
    const before = next.header(FORWARDED_FOR);
    next.headers.set(FORWARDED_FOR, before === undefined ? formatIp(direct) : `${before},${formatIp(direct)}`);
  }
  const client = believed === undefined ? undefined : parseIp(believed);
  return { request: next, connection: client === undefined ? connection : { ...connection, remote: { ip: client, port: 0 } } };
}

/** `cluster`: index into the route's weighted clusters. The order of changes is the proxy's. */
export function forwardedRequest(entry: RouteEntry, config: RouteConfiguration, cluster: number, request: ImaginedRequest): ImaginedRequest {
  const { route, virtualHost, path: at } = entry;
  if (route.action.case !== "route") return request;
  const action = route.action.value;
  const weighted = action.clusterSpecifier.case === "weightedClusters" ? action.clusterSpecifier.value.clusters[cluster] : undefined;
  const sources = [...(weighted === undefined ? [] : [[weighted]]), [route, virtualHost, config]];
  const next = changedRequest(request, {});
  for (const group of sources) {
    const changes = group.map((from) => ({ add: from.requestHeadersToAdd, remove: from.requestHeadersToRemove, path: at }));
    compileMutations(changes)?.(next.headers, imaginedRecord(next));
  }
  const path = compilePathRewrite(route, action, `${at}.route`)?.(next);
  const authority = compileHostRewrite(action, `${at}.route`)?.(next);
  return changedRequest(next, { ...(path === undefined ? {} : { path }), ...(authority === undefined ? {} : { authority }) });
}

/** What a header's value may quote of a request that has no connection, no answer and no time. */
function imaginedRecord(request: ImaginedRequest): AccessRecord {
  return {
    request,
    response: () => undefined,
    startMs: 0,
    protocol: "HTTP/1.1",
    status: 0,
    statusDetails: undefined,
    flags: "",
    terminationDetails: undefined,
    bytesReceived: 0,
    bytesSent: 0,
    durationMs: 0,
    responseDurationMs: undefined,
    upstreamHost: undefined,
    upstreamCluster: undefined,
    upstreamLocal: undefined,
    upstreamFailure: undefined,
    downstreamFailure: undefined,
    attempts: 0,
    local: undefined,
    remote: undefined,
    directRemote: undefined,
    serverName: undefined,
    routeName: undefined,
    peerUri: undefined,
    localUri: undefined,
    tlsVersion: undefined,
  };
}
