/** TLS over a connection that stands: the server's side (startTls) and the client's; what the handshake proved. */
import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import tls from "node:tls";
import type { TlsFacts } from "#host/net.ts";
import { handleOf } from "./node-handle.ts";
import { subjectAltNames } from "./subject-alt-names.ts";
import type { TlsSettings } from "./tls-context.ts";

/** The connection that TLS is for. */
export interface TlsUser {
  readonly facts: { tls: TlsFacts | undefined };
  wrapped(tls: tls.TLSSocket): void;
  established(): void;
  fail(code: string, message: string): void;
}

export function acceptTls(connection: TlsUser, plain: Socket, settings: TlsSettings, unread: Uint8Array): void {
  plain.pause();
  // Node's TLS first takes what the plain socket has buffered. The bytes are the caller's: copy.
  if (unread.length > 0) plain.unshift(Buffer.from(unread));
  const socket = new tls.TLSSocket(plain, {
    isServer: true,
    secureContext: settings.secureContext,
    requestCert: settings.clientCertificate !== "none",
    // Makes OpenSSL refuse a client without any certificate, with the right alert; a bad one is refused in `finish`.
    rejectUnauthorized: settings.clientCertificate === "require",
    ...(settings.alpn.length === 0 ? {} : { ALPNProtocols: [...settings.alpn] }),
  });
  connection.wrapped(socket);
  socket.on("_tlsError", (error: Error & { code?: string; reason?: string }) => connection.fail(error.code ?? "ERR_TLS_HANDSHAKE", reasonOf(error)));
  socket.once("secure", () => finish(connection, socket, settings, undefined));
}

export function connectTls(connection: TlsUser, plain: Socket, settings: TlsSettings, serverName: string | undefined): void {
  const socket = tls.connect({
    socket: plain,
    secureContext: settings.secureContext,
    // Checked in `finish`, by the rules of the context.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(settings.alpn.length === 0 ? {} : { ALPNProtocols: [...settings.alpn] }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
  connection.wrapped(socket);
  socket.once("secureConnect", () => finish(connection, socket, settings, serverName));
}

function finish(connection: TlsUser, socket: tls.TLSSocket, settings: TlsSettings, serverName: string | undefined): void {
  const certificate = socket.getPeerX509Certificate();
  const facts = tlsFacts(socket, certificate, serverName);
  const refusal = refuse(socket, certificate, { settings, facts, serverName });
  connection.facts.tls = facts;
  if (refusal === undefined) connection.established();
  else connection.fail(refusal.code, refusal.message);
}

interface Handshake {
  readonly settings: TlsSettings;
  readonly facts: TlsFacts;
  readonly serverName: string | undefined;
}

function refuse(socket: tls.TLSSocket, certificate: X509Certificate | undefined, handshake: Handshake): { code: string; message: string } | undefined {
  const { settings, facts, serverName } = handshake;
  if (certificate === undefined) {
    if (settings.clientCertificate === "require") return { code: "ERR_TLS_NO_CERTIFICATE", message: "the peer presented no certificate" };
  } else {
    const chainError = settings.verifiesChain ? handleOf(socket)?.verifyError?.() : undefined;
    if (chainError) return { code: chainError.code ?? "ERR_TLS_CERTIFICATE", message: `${certificateOf(facts)} does not verify: ${reasonOf(chainError)}` };
    if (settings.verifiesHostname && !namesHost(certificate, serverName))
      return { code: "ERR_TLS_CERT_ALTNAME_INVALID", message: `the peer's certificate is not for ${serverName ?? "a host without a name"}` };
  }
  const reason = settings.verifyPeer?.(facts);
  return reason === undefined ? undefined : { code: "ERR_TLS_PEER_REFUSED", message: reason };
}

/** Without OpenSSL's source lines and Node's advice on the user's own roots. */
function reasonOf(error: Error & { reason?: string }): string {
  return error.reason ?? error.message.replace(/;.*/s, "");
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

function tlsFacts(socket: tls.TLSSocket, certificate: X509Certificate | undefined, serverName: string | undefined): TlsFacts {
  const names = subjectAltNames(certificate?.subjectAltName);
  const sent = (socket as { servername?: string | false | null }).servername;
  return {
    version: socket.getProtocol() ?? "",
    alpn: typeof socket.alpnProtocol === "string" && socket.alpnProtocol !== "" ? socket.alpnProtocol : undefined,
    serverName: typeof sent === "string" && sent !== "" ? sent : serverName,
    peerCertificate: certificate?.raw,
    peerUris: names.uris,
    peerDnsNames: names.dnsNames,
  };
}
