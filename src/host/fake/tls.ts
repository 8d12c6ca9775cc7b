/**
 * TLS as facts about the peers: certificates are parsed and trust is checked as OpenSSL would, but nothing is encrypted.
 * A client still sends a ClientHello that inspectors can read (RFC 8446, 4.1.2), so that a server may choose by SNI and
 * ALPN before it starts TLS.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { HostError } from "#host/host-error.ts";
import type { NetError, TlsClientContext, TlsClientOptions, TlsFacts, TlsServerContext, TlsServerOptions } from "#host/net.ts";

interface Chain {
  readonly leaf: X509Certificate;
  readonly rest: readonly X509Certificate[];
}

interface Settings {
  readonly chain: Chain | undefined;
  readonly roots: readonly X509Certificate[] | undefined;
  readonly alpn: readonly string[];
  readonly verifyPeer: ((facts: TlsFacts) => string | undefined) | undefined;
}

export interface FakeServerContext extends TlsServerContext, Settings {
  readonly clientCertificate: "none" | "request" | "require";
}

export interface FakeClientContext extends TlsClientContext, Settings {
  readonly verifyHostname: boolean;
}

export function serverContext(options: TlsServerOptions): FakeServerContext {
  return { kind: "tls-server", ...settings("TLS server certificate", options), clientCertificate: options.clientCertificate ?? "none" };
}

export function clientContext(options: TlsClientOptions): FakeClientContext {
  return { kind: "tls-client", ...settings("TLS client certificate", options), verifyHostname: options.verifyHostname ?? false };
}

export function isFakeServer(context: TlsServerContext): context is FakeServerContext {
  return "roots" in context;
}

export function isFakeClient(context: TlsClientContext): context is FakeClientContext {
  return "roots" in context;
}

function settings(subject: string, options: TlsServerOptions | TlsClientOptions): Settings {
  try {
    const [leaf, ...rest] = certificates(options.certificate ?? "");
    if (leaf !== undefined && !leaf.checkPrivateKey(createPrivateKey(options.privateKey ?? ""))) throw new Error("the private key is not the certificate's");
    return {
      chain: leaf === undefined ? undefined : { leaf, rest },
      roots: options.ca === undefined ? undefined : certificates(options.ca),
      alpn: options.alpn ?? [],
      verifyPeer: options.verifyPeer,
    };
  } catch (cause) {
    const { code = "ERR_TLS_PEM", message } = cause as Error & { code?: string };
    throw new HostError(code, subject, `cannot be used: ${message}`, { cause });
  }
}

function certificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

export interface Hello {
  readonly context: FakeClientContext;
  readonly serverName: string | undefined;
}

/** What a handshake ends with, on one side. */
export type Outcome = { readonly facts: TlsFacts; readonly error?: undefined } | { readonly error: NetError };

/** The client's view once the server has answered. */
export function clientOutcome(hello: Hello, server: FakeServerContext, nowMs: number): Outcome {
  const alpn = negotiate(hello.context, server);
  if (alpn === "none") return { error: { code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL", message: "the peers share no application protocol" } };
  const { chain } = server;
  if (chain === undefined) return { error: { code: "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", message: "the server has no certificate" } };
  const facts = factsOf(chain.leaf, alpn, hello.serverName);
  const { verifyHostname, roots } = hello.context;
  if (verifyHostname && (hello.serverName === undefined || chain.leaf.checkHost(hello.serverName) === undefined)) {
    return { error: { code: "ERR_TLS_CERT_ALTNAME_INVALID", message: `the peer's certificate is not for ${hello.serverName ?? "a host without a name"}` } };
  }
  return verified(hello.context.verifyPeer, facts, roots === undefined ? undefined : chainError(chain, roots, nowMs));
}

/** The server's view once the client has sent its certificate. */
export function serverOutcome(hello: Hello, server: FakeServerContext, nowMs: number): Outcome {
  const alpn = negotiate(hello.context, server);
  const chain = server.clientCertificate === "none" ? undefined : hello.context.chain;
  if (chain === undefined && server.clientCertificate === "require") {
    return { error: { code: "ERR_TLS_NO_CERTIFICATE", message: "the peer presented no certificate" } };
  }
  const facts = factsOf(chain?.leaf, alpn === "none" ? undefined : alpn, hello.serverName);
  return verified(server.verifyPeer, facts, chain === undefined || server.roots === undefined ? undefined : chainError(chain, server.roots, nowMs));
}

function verified(verifyPeer: Settings["verifyPeer"], facts: TlsFacts, error: NetError | undefined): Outcome {
  if (error !== undefined) return { error };
  const reason = verifyPeer?.(facts);
  return reason === undefined ? { facts } : { error: { code: "ERR_TLS_PEER_REFUSED", message: reason } };
}

/** undefined: no ALPN in use. "none": both want it and agree on nothing. */
function negotiate(client: Settings, server: Settings): string | undefined {
  if (client.alpn.length === 0 || server.alpn.length === 0) return undefined;
  return server.alpn.find((protocol) => client.alpn.includes(protocol)) ?? "none";
}

function factsOf(leaf: X509Certificate | undefined, alpn: string | undefined, serverName: string | undefined): TlsFacts {
  const names = (leaf?.subjectAltName ?? "").split(", ");
  const of = (kind: string): string[] => names.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length));
  return { version: "TLSv1.3", alpn, serverName, peerCertificate: leaf?.raw, peerUris: of("URI:"), peerDnsNames: of("DNS:") };
}

function chainError(chain: Chain, roots: readonly X509Certificate[], nowMs: number): NetError | undefined {
  let at = chain.leaf;
  // As long as the chain that was sent, and one for the root.
  for (let depth = 0; depth <= chain.rest.length; depth += 1) {
    if (Date.parse(at.validTo) < nowMs) return { code: "CERT_HAS_EXPIRED", message: "the peer's certificate does not verify: certificate has expired" };
    if (Date.parse(at.validFrom) > nowMs) return { code: "CERT_NOT_YET_VALID", message: "the peer's certificate does not verify: not yet valid" };
    if (signerOf(at, roots) !== undefined) return undefined;
    const next = signerOf(at, chain.rest);
    if (next === undefined) break;
    at = next;
  }
  return { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", message: "the peer's certificate does not verify: unable to verify the first certificate" };
}

function signerOf(certificate: X509Certificate, candidates: readonly X509Certificate[]): X509Certificate | undefined {
  return candidates.find((candidate) => certificate.checkIssued(candidate) && certificate.verify(candidate.publicKey));
}

/** TLS record with a ClientHello; `random` is 64 bytes (client random, session id). */
export function clientHello(hello: Hello, random: Uint8Array): Uint8Array {
  const extensions = [extension(43, Buffer.from([2, 3, 4]))];
  if (hello.serverName !== undefined) extensions.push(extension(0, vector16(Buffer.concat([Buffer.from([0]), vector16(Buffer.from(hello.serverName))]))));
  if (hello.context.alpn.length > 0) {
    const protocols = hello.context.alpn.map((protocol) => Buffer.concat([Buffer.from([protocol.length]), Buffer.from(protocol)]));
    extensions.push(extension(16, vector16(Buffer.concat(protocols))));
  }
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    random.subarray(0, 32),
    Buffer.from([32]),
    random.subarray(32, 64),
    vector16(Buffer.from([0x13, 0x01, 0x13, 0x02, 0x13, 0x03])),
    Buffer.from([1, 0]),
    vector16(Buffer.concat(extensions)),
  ]);
  const handshake = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 0xff]), body]);
  return Buffer.concat([Buffer.from([22, 3, 1]), vector16(handshake)]);
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 0xff]), vector16(data)]);
}

function vector16(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([data.length >> 8, data.length & 0xff]), data]);
}
