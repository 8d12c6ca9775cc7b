/** x-forwarded-client-cert: what a proxy tells the next hop of the client's certificate (forward_client_cert_details). */
import {
  type HttpConnectionManager,
  HttpConnectionManager_ForwardClientCertDetails,
} from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { headerName } from "#wire/http/header-name.ts";
import type { PeerIdentity } from "#decide/request-view.ts";
import { createHash } from "node:crypto";

const XFCC = headerName("x-forwarded-client-cert");

export interface PeerCertificateSettings {
  readonly mode: "sanitize" | "forward-only" | "append-forward" | "sanitize-set" | "always-forward-only";
  readonly uri: boolean;
  readonly dns: boolean;
  readonly subject: boolean;
}

export function compilePeerCertificate(config: HttpConnectionManager): PeerCertificateSettings {
  const { FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET, ALWAYS_FORWARD_ONLY } = HttpConnectionManager_ForwardClientCertDetails;
  const details = config.forwardClientCertDetails;
  const mode =
    details === FORWARD_ONLY
      ? "forward-only"
      : details === APPEND_FORWARD
        ? "append-forward"
        : details === SANITIZE_SET
          ? "sanitize-set"
          : details === ALWAYS_FORWARD_ONLY
            ? "always-forward-only"
            : "sanitize";
  const set = config.setCurrentClientCertDetails;
  return { mode, uri: set?.uri ?? false, dns: set?.dns ?? false, subject: set?.subject ?? false };
}

export interface PeerOfConnection {
  readonly peer: PeerIdentity | undefined;
  readonly certificate: Uint8Array | undefined;
  readonly localUri: string | undefined;
  /** Made once per connection. */
  element?: string;
}

export function forwardPeerCertificate(headers: HeaderBlock, settings: PeerCertificateSettings, connection: PeerOfConnection): void {
  const { mode } = settings;
  if (mode === "always-forward-only") return;
  const isMutual = connection.peer !== undefined;
  if (!isMutual || mode === "sanitize") {
    headers.remove(XFCC);
    return;
  }
  if (mode === "forward-only") return;
  const element = (connection.element ??= elementOf(settings, connection));
  const before = mode === "append-forward" ? headers.get(XFCC) : undefined;
  headers.set(XFCC, before === undefined ? element : `${before},${element}`);
}

function elementOf(settings: PeerCertificateSettings, { peer, certificate, localUri }: PeerOfConnection): string {
  const parts: string[] = [];
  if (localUri !== undefined) parts.push(`By=${localUri}`);
  if (certificate !== undefined) parts.push(`Hash=${createHash("sha256").update(certificate).digest("hex")}`);
  if (settings.subject && peer !== undefined) parts.push(`Subject="${peer.subject.replace(/"/g, '\\"')}"`);
  if (settings.uri) parts.push(...(peer?.uris ?? []).map((uri) => `URI=${uri}`));
  if (settings.dns) parts.push(...(peer?.dnsNames ?? []).map((name) => `DNS=${name}`));
  return parts.join(";");
}
