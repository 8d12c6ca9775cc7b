/** Certificates and keys compiled once (OpenSSL's SSL_CTX), with what is checked after each handshake. */
import tls from "node:tls";
import { HostError } from "#host/host-error.ts";
import type { TlsClientContext, TlsClientOptions, TlsFacts, TlsServerContext, TlsServerOptions } from "#host/net.ts";

export interface TlsSettings {
  readonly kind: "tls-server" | "tls-client";
  readonly secureContext: tls.SecureContext;
  readonly alpn: readonly string[];
  readonly verifiesChain: boolean;
  readonly verifiesHostname: boolean;
  readonly clientCertificate: "none" | "request" | "require";
  readonly verifyPeer: ((facts: TlsFacts) => string | undefined) | undefined;
}

/** Envoy's default; without ML-KEM, which costs 8 KB a connection (DATAPATH, 6). */
const CURVES = "X25519:P-256:P-384";

/** Resumption needs one when client certificates are asked for; any constant does, as every context has its own cache. */
const SESSION_ID_CONTEXT = "weft";

export function serverSettings(options: TlsServerOptions): TlsSettings & TlsServerContext {
  return {
    kind: "tls-server",
    secureContext: compile("TLS server certificate", options),
    alpn: options.alpn ?? [],
    verifiesChain: options.ca !== undefined,
    verifiesHostname: false,
    clientCertificate: options.clientCertificate ?? "none",
    verifyPeer: options.verifyPeer,
  };
}

export function clientSettings(options: TlsClientOptions): TlsSettings & TlsClientContext {
  return {
    kind: "tls-client",
    secureContext: compile("TLS client certificate", options),
    alpn: options.alpn ?? [],
    verifiesChain: options.ca !== undefined,
    verifiesHostname: options.verifyHostname ?? false,
    clientCertificate: "none",
    verifyPeer: options.verifyPeer,
  };
}

function compile(subject: string, options: TlsServerOptions | TlsClientOptions): tls.SecureContext {
  try {
    return tls.createSecureContext({
      ...(options.certificate === undefined ? {} : { cert: options.certificate }),
      ...(options.privateKey === undefined ? {} : { key: options.privateKey }),
      // An empty list, not nothing: or Node loads the 150 roots of the public web.
      ca: options.ca ?? [],
      minVersion: options.minVersion ?? "TLSv1.2",
      ...(options.maxVersion === undefined ? {} : { maxVersion: options.maxVersion }),
      ...(options.ciphers === undefined ? {} : { ciphers: options.ciphers }),
      ecdhCurve: options.curves ?? CURVES,
      sessionIdContext: SESSION_ID_CONTEXT,
    });
  } catch (cause) {
    const { code = "ERR_TLS_PEM", message } = cause as Error & { code?: string };
    throw new HostError(code, subject, `cannot be used: ${message}`, { cause });
  }
}

export function isTlsSettings(context: TlsServerContext | TlsClientContext): context is (TlsServerContext | TlsClientContext) & TlsSettings {
  return "secureContext" in context;
}
