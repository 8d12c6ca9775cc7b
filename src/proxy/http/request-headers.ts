/** What the connection manager changes in a request before the filters see it (Envoy's mutateRequestHeaders). */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { HOST } from "#wire/http/names.ts";
import type { RequestHead } from "#wire/http/stream.ts";
import { trustedHop } from "#decide/forwarded-for.ts";
import { type Cidr, type Ip, parseIp } from "#lib/ip.ts";
import { isWithin } from "#decide/match/ip-match.ts";
import { pathOnly } from "#decide/request-view.ts";
import { withoutPort } from "#decide/route/virtual-host-match.ts";
import { addressText, type Downstream } from "#proxy/listen/downstream.ts";
import { forwardPeerCertificate } from "./client-certificate.ts";
import type { ConnectionManager } from "./connection-manager.ts";
import { EDGE_REMOVED, EXTERNAL_ADDRESS, FORWARDED_FOR, FORWARDED_PROTO, INTERNAL, INTERNAL_ONLY, REQUEST_ID } from "./names.ts";
import { normalizedPath } from "#decide/normalized-path.ts";
import type { RequestIds } from "./request-ids.ts";

/** Returns the client's address as text, and whether the path is one that is refused. */
export function prepareRequest(
  head: RequestHead,
  manager: ConnectionManager,
  downstream: Downstream,
  ids: RequestIds,
): { readonly remote: string | undefined; readonly isRefused: boolean } {
  const { headers } = head;
  const direct = downstream.directRemoteIp;
  const hops = manager.trustedHops - (manager.useRemoteAddress ? 1 : 0);
  const told = hops < 0 ? undefined : trustedHop(headers.get(FORWARDED_FOR), hops);
  // One request at a time: what follows it on this connection is told anew.
  downstream.remote = told === undefined ? downstream.directRemote : { ip: parseIp(told), port: 0 };
  const remote = told === undefined ? downstream.directRemoteText : addressText({ ip: told, port: 0 });
  if (manager.useRemoteAddress && !manager.skipForwardedFor && direct !== undefined) {
    const before = headers.get(FORWARDED_FOR);
    headers.set(FORWARDED_FOR, before === undefined ? direct : `${before},${direct}`);
  }
  markOrigin(headers, manager, downstream);
  if (manager.generateRequestId && !headers.has(REQUEST_ID)) headers.add(REQUEST_ID, ids.next());
  forwardPeerCertificate(headers, manager.peerCertificate, downstream);
  if (head.authority === "" && manager.defaultHost !== "") head.authority = manager.defaultHost;
  if (manager.stripPort !== "none") stripPort(head, manager, downstream);
  // A fragment never belongs into a request; what is behind it would escape the rules for paths.
  if (head.path.includes("#")) return { remote, isRefused: true };
  if (manager.refusesEscapedSlashes && /%(?:2f|5c)/i.test(pathOnly(head.path))) return { remote, isRefused: true };
  if (manager.normalizePath || manager.mergeSlashes) {
    const path = normalizedPath(head.path, manager);
    if (path === undefined) return { remote, isRefused: true };
    head.path = path;
  }
  return { remote, isRefused: false };
}

/**
 * Who is not told to be internal (internal_address_config) must not steer the router, nor claim to be internal; at the
 * edge nothing that a client says of itself stays.
 */
function markOrigin(headers: HeaderBlock, manager: ConnectionManager, downstream: Downstream): void {
  const direct = downstream.directRemoteIp;
  const scheme = downstream.tls === undefined ? "http" : "https";
  headers.remove(INTERNAL);
  const isInternal = manager.internalRanges.length > 0 && isWithinAny(manager.internalRanges, onlyAddress(headers, manager, downstream));
  const isEdge = manager.useRemoteAddress && !isInternal;
  if (isInternal) headers.set(INTERNAL, "true");
  else for (const name of INTERNAL_ONLY) headers.remove(name);
  if (!headers.has(FORWARDED_PROTO)) headers.add(FORWARDED_PROTO, scheme);
  else if (manager.useRemoteAddress && manager.trustedHops === 0) headers.set(FORWARDED_PROTO, scheme);
  if (!isEdge) return;
  for (const name of EDGE_REMOVED) headers.remove(name);
  if (manager.trustedHops === 0 && direct !== undefined) headers.set(EXTERNAL_ADDRESS, direct);
  if (!manager.preserveRequestId) headers.remove(REQUEST_ID);
}

/** The one address in x-forwarded-for: a request that several proxies have seen is never internal. */
function onlyAddress(headers: HeaderBlock, { useRemoteAddress }: ConnectionManager, downstream: Downstream): Ip | undefined {
  const forwarded = headers.get(FORWARDED_FOR);
  if (forwarded !== undefined) return parseIp(forwarded.trim());
  return useRemoteAddress ? downstream.directRemote.ip : undefined;
}

function isWithinAny(ranges: readonly Cidr[], ip: Ip | undefined): boolean {
  return ranges.some((range) => isWithin(range, ip));
}

function stripPort(head: RequestHead, manager: ConnectionManager, downstream: Downstream): void {
  const bare = withoutPort(head.authority);
  if (bare === head.authority) return;
  if (manager.stripPort === "matching" && Number(head.authority.slice(bare.length + 1)) !== downstream.destination.port) return;
  head.authority = bare;
  head.headers.set(HOST, bare);
}
