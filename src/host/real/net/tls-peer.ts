/** What a TLS handshake proved, and whether that is enough. */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { TlsFacts } from "#host/net.ts";
import { subjectAltNames } from "./subject-alt-names.ts";
import type { TlsSettings } from "./tls-context.ts";
import type { TlsFailure, TlsSession } from "./tls-session.ts";

export interface Proved {
  readonly facts: TlsFacts;
  readonly refusal: TlsFailure | undefined;
}

/** `serverName`: what the client's side asked for. */
export function proved(session: TlsSession, settings: TlsSettings, serverName: string | undefined): Proved {
  const der = session.peerCertificate;
  const certificate = der === undefined ? undefined : new X509Certificate(der);
  const names = subjectAltNames(certificate?.subjectAltName);
  const facts: TlsFacts = {
    version: session.version,
    alpn: session.alpn,
    serverName: settings.kind === "tls-server" ? session.serverName : serverName,
    peerCertificate: der,
    peerUris: names.uris,
    peerDnsNames: names.dnsNames,
  };
  return { facts, refusal: refuse({ session, settings, facts, certificate }) };
}

interface Handshake {
  readonly session: TlsSession;
  readonly settings: TlsSettings;
  readonly facts: TlsFacts;
  readonly certificate: X509Certificate | undefined;
}

function refuse({ session, settings, facts, certificate }: Handshake): TlsFailure | undefined {
  const { serverName } = facts;
  if (certificate === undefined) {
    if (settings.clientCertificate === "require") return { code: "ERR_TLS_NO_CERTIFICATE", message: "the peer presented no certificate" };
  } else {
    const failure = settings.verifiesChain ? session.chainFailure : undefined;
    if (failure !== undefined) return { code: failure.code, message: `${certificateOf(facts)} does not verify: ${failure.message}` };
    if (settings.verifiesHostname && !namesHost(certificate, serverName))
      return { code: "ERR_TLS_CERT_ALTNAME_INVALID", message: `the peer's certificate is not for ${serverName ?? "a host without a name"}` };
  }
  const reason = settings.verifyPeer?.(facts);
  return reason === undefined ? undefined : { code: "ERR_TLS_PEER_REFUSED", message: reason };
}

/** What it claims: nothing of it is proved. */
function certificateOf({ peerUris, peerDnsNames }: TlsFacts): string {
  const names = [...peerUris, ...peerDnsNames];
  return names.length === 0 ? "the peer's certificate" : `the certificate of ${names.join(", ")}`;
}

function namesHost(certificate: X509Certificate, serverName: string | undefined): boolean {
  if (serverName === undefined) return false;
  return (isIP(serverName) === 0 ? certificate.checkHost(serverName) : certificate.checkIP(serverName)) !== undefined;
}
