/** What the connection manager changes in a request before the filters see it (Envoy's mutateRequestHeaders). */
import { HOST } from "#wire/http/names.ts";
import type { RequestHead } from "#wire/http/stream.ts";
import { trustedHop } from "#decide/forwarded-for.ts";
import { withoutPort } from "#decide/route/virtual-host-match.ts";
import { addressText, type Downstream } from "#proxy/listen/downstream.ts";
import { forwardPeerCertificate } from "./client-certificate.ts";
import type { ConnectionManager } from "./connection-manager.ts";
import { EDGE_REMOVED, EXTERNAL_ADDRESS, FORWARDED_FOR, FORWARDED_PROTO, REQUEST_ID } from "./names.ts";
import { normalizedPath } from "#decide/normalized-path.ts";
import type { RequestIds } from "./request-ids.ts";

/** Returns the client's address as text; undefined when the path cannot be normalized (the request is refused). */
export function prepareRequest(
  head: RequestHead,
  manager: ConnectionManager,
  downstream: Downstream,
  ids: RequestIds,
): { readonly remote: string | undefined } | undefined {
  const { headers } = head;
  const direct = downstream.directRemoteIp;
  let remote = downstream.directRemoteText;
  const isEdge = manager.useRemoteAddress && manager.trustedHops === 0;
  if (manager.useRemoteAddress) {
    if (manager.trustedHops > 0) remote = clientText(headers.get(FORWARDED_FOR), manager.trustedHops - 1) ?? remote;
    if (!manager.skipForwardedFor && direct !== undefined) {
      const before = headers.get(FORWARDED_FOR);
      headers.set(FORWARDED_FOR, before === undefined ? direct : `${before},${direct}`);
    }
  } else remote = clientText(headers.get(FORWARDED_FOR), manager.trustedHops) ?? remote;
  if (isEdge) {
    for (const name of EDGE_REMOVED) headers.remove(name);
    headers.remove(EXTERNAL_ADDRESS);
    if (direct !== undefined && !isPrivate(direct)) headers.set(EXTERNAL_ADDRESS, direct);
    headers.set(FORWARDED_PROTO, head.scheme);
    if (!manager.preserveRequestId && direct !== undefined && !isPrivate(direct)) headers.remove(REQUEST_ID);
  } else if (!headers.has(FORWARDED_PROTO)) headers.add(FORWARDED_PROTO, head.scheme);
  if (manager.generateRequestId && !headers.has(REQUEST_ID)) headers.add(REQUEST_ID, ids.next());
  forwardPeerCertificate(headers, manager.peerCertificate, downstream);
  if (head.authority === "" && manager.defaultHost !== "") head.authority = manager.defaultHost;
  if (manager.stripPort !== "none") stripPort(head, manager, downstream);
  if (manager.normalizePath || manager.mergeSlashes) {
    const path = normalizedPath(head.path, manager);
    if (path === undefined) return undefined;
    head.path = path;
  }
  return { remote };
}

function clientText(forwarded: string | undefined, hops: number): string | undefined {
  const address = trustedHop(forwarded, hops);
  return address === undefined ? undefined : addressText({ ip: address, port: 0 });
}

function isPrivate(ip: string): boolean {
  return /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cd])/i.test(ip);
}

function stripPort(head: RequestHead, manager: ConnectionManager, downstream: Downstream): void {
  const bare = withoutPort(head.authority);
  if (bare === head.authority) return;
  if (manager.stripPort === "matching" && Number(head.authority.slice(bare.length + 1)) !== downstream.destination.port) return;
  head.authority = bare;
  head.headers.set(HOST, bare);
}
