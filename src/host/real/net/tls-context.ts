/** Certificates and keys compiled once (OpenSSL's SSL_CTX), with what is checked after each handshake. */
import { createHash } from "node:crypto";
import tls from "node:tls";
import { HostError } from "#host/host-error.ts";
import type { TlsClientContext, TlsClientOptions, TlsFacts, TlsServerContext, TlsServerOptions } from "#host/net.ts";
import { openSsl, type Pointer } from "./openssl.ts";

/** An SSL_CTX; it lives as long as this object, or a connection of it. */
export interface SslContext {
  readonly pointer: Pointer;
}

export interface TlsSettings {
  readonly kind: "tls-server" | "tls-client";
  readonly context: SslContext;
  readonly verifiesChain: boolean;
  readonly verifiesHostname: boolean;
  readonly clientCertificate: "none" | "request" | "require";
  readonly verifyPeer: ((facts: TlsFacts) => string | undefined) | undefined;
}

/** Envoy's default; without ML-KEM, which costs 8 KB a connection (DATAPATH, 6). */
const CURVES = "X25519:P-256:P-384";

/** In BoringSSL's order, so in Envoy's: the smaller key is as good, and cheaper for bodies. */
const SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
/** For TLS 1.2: Node's choice. */
const CIPHERS = tls.DEFAULT_CIPHERS.split(":")
  .filter((name) => !name.startsWith("TLS_"))
  .join(":");

/** Resumption needs one when client certificates are asked for; any constant does, as every context has its own keys. */
const SESSION_ID_CONTEXT = "weft";

// Numbers of openssl/ssl.h and openssl/tls1.h.
const SSL_CTRL_EXTRA_CHAIN_CERT = 14;
const SSL_CTRL_MODE = 33;
const SSL_CTRL_SET_GROUPS_LIST = 92;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const SSL_CTRL_SET_MAX_PROTO_VERSION = 124;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const VERSIONS = { "TLSv1.2": 0x0303, "TLSv1.3": 0x0304 } as const;
/** An idle connection holds no buffers of OpenSSL: 29 KB instead of 52 (DATAPATH, 6). */
const SSL_MODE_RELEASE_BUFFERS = 0x10;
const SSL_OP_NO_RENEGOTIATION = 2 ** 30;
/** Compressing a small chain saves 200 bytes and costs 0.8 ms a side (measured 2026-11); Node has it off, too. */
const SSL_OP_NO_CERTIFICATE_COMPRESSION = 2 ** 32 + 2 ** 33;
const SSL_VERIFY = { none: 0, request: 1, require: 3 } as const;

export function serverSettings(options: TlsServerOptions): TlsSettings & TlsServerContext {
  const { clientCertificate = "none", alpn = [] } = options;
  return {
    kind: "tls-server",
    context: contextOf("TLS server certificate", options, { verify: SSL_VERIFY[clientCertificate], choosesAmong: alpn, offers: [] }),
    verifiesChain: options.ca !== undefined,
    verifiesHostname: false,
    clientCertificate,
    verifyPeer: options.verifyPeer,
  };
}

export function clientSettings(options: TlsClientOptions): TlsSettings & TlsClientContext {
  return {
    kind: "tls-client",
    context: contextOf("TLS client certificate", options, { verify: SSL_VERIFY.request, choosesAmong: [], offers: options.alpn ?? [] }),
    verifiesChain: options.ca !== undefined,
    verifiesHostname: options.verifyHostname ?? false,
    clientCertificate: "none",
    verifyPeer: options.verifyPeer,
  };
}

interface Behaviour {
  readonly verify: number;
  /** Application protocols: of a server, and of a client. */
  readonly choosesAmong: readonly string[];
  readonly offers: readonly string[];
}

/**
 * Contexts in use, by a digest of what they are made of. JavaScript's collector does not see the 30 KB that OpenSSL keeps
 * for each, so one that is wanted again (a listener that changed, with the same certificate) is not made again.
 */
const contexts = new Map<string, WeakRef<SslContext>>();
/** Connections hold a reference of their own, so a context may go when nobody can make new ones with it. */
const forgotten = new FinalizationRegistry<{ readonly key: string; readonly free: () => void }>(({ key, free }) => {
  if (contexts.get(key)?.deref() === undefined) contexts.delete(key);
  free();
});

function contextOf(subject: string, options: TlsServerOptions | TlsClientOptions, behaviour: Behaviour): SslContext {
  const { certificate, privateKey, ca, minVersion, maxVersion, ciphers, curves } = options;
  const key = createHash("sha256")
    .update(JSON.stringify([certificate, privateKey, ca, minVersion, maxVersion, ciphers, curves, behaviour]))
    .digest("base64");
  const known = contexts.get(key)?.deref();
  if (known !== undefined) return known;
  const pointer = compile(subject, options);
  const ssl = openSsl();
  ssl.SSL_CTX_set_verify(pointer, behaviour.verify, ssl.letPass);
  const offers = protocolList(behaviour.offers);
  if (offers.length > 0) ssl.SSL_CTX_set_alpn_protos(pointer, offers, offers.length);
  const forgetChoice = behaviour.choosesAmong.length === 0 ? undefined : ssl.chooseProtocol(pointer, protocolList(behaviour.choosesAmong));
  const context = { pointer };
  contexts.set(key, new WeakRef(context));
  const free = (): void => {
    ssl.SSL_CTX_free(pointer);
    forgetChoice?.();
  };
  forgotten.register(context, { key, free });
  return context;
}

/** Each name with its length before it (RFC 7301 3.1). */
function protocolList(names: readonly string[]): Buffer {
  return Buffer.concat(names.map((name) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name, "latin1")])));
}

function compile(subject: string, options: TlsServerOptions | TlsClientOptions): Pointer {
  const { certificate, privateKey, ca = "", minVersion = "TLSv1.2", maxVersion, ciphers = CIPHERS, curves = CURVES } = options;
  try {
    // Node names what is wrong with a PEM or a list; OpenSSL by itself only says that something is.
    tls.createSecureContext({
      ...(certificate === undefined ? {} : { cert: certificate }),
      ...(privateKey === undefined ? {} : { key: privateKey }),
      ca: ca === "" ? [] : ca,
      ciphers,
      ecdhCurve: curves,
    });
  } catch (cause) {
    const { code = "ERR_TLS_PEM", message } = cause as Error & { code?: string };
    throw new HostError(code, subject, `cannot be used: ${message}`, { cause });
  }
  const ssl = openSsl();
  const context = ssl.SSL_CTX_new(ssl.TLS_method());
  const done = (isDone: boolean, what: string): void => {
    if (isDone) return;
    const reason = ssl.ERR_reason_error_string(ssl.ERR_get_error());
    ssl.SSL_CTX_free(context);
    throw new HostError("ERR_TLS_PEM", subject, `cannot be used: ${what}: ${reason ?? "OpenSSL does not say why"}`);
  };
  ssl.ERR_clear_error();
  done(ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, VERSIONS[minVersion], 0) === 1, "minimum version");
  if (maxVersion !== undefined) done(ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, VERSIONS[maxVersion], 0) === 1, "maximum version");
  done(ssl.setGroups(context, SSL_CTRL_SET_GROUPS_LIST, 0, curves) === 1, "curves");
  done(ssl.SSL_CTX_set_ciphersuites(context, SUITES) === 1 && ssl.SSL_CTX_set_cipher_list(context, ciphers) === 1, "ciphers");
  ssl.SSL_CTX_ctrl(context, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, 0);
  ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, 0, 0);
  ssl.SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION + SSL_OP_NO_CERTIFICATE_COMPRESSION);
  ssl.SSL_CTX_set_session_id_context(context, SESSION_ID_CONTEXT, SESSION_ID_CONTEXT.length);
  for (const [index, one] of certificatesIn(certificate ?? "").entries()) {
    if (index > 0) ssl.SSL_CTX_ctrl(context, SSL_CTRL_EXTRA_CHAIN_CERT, 0, one);
    else {
      done(ssl.SSL_CTX_use_certificate(context, one) === 1, "certificate");
      ssl.X509_free(one);
    }
  }
  if (privateKey !== undefined) {
    const key = fromPem(privateKey, (bio) => ssl.PEM_read_bio_PrivateKey(bio, null, null, null));
    done(key !== 0 && ssl.SSL_CTX_use_PrivateKey(context, key) === 1 && ssl.SSL_CTX_check_private_key(context) === 1, "private key");
    ssl.EVP_PKEY_free(key);
  }
  for (const root of certificatesIn(ca)) {
    ssl.X509_STORE_add_cert(ssl.SSL_CTX_get_cert_store(context), root);
    ssl.SSL_CTX_add_client_CA(context, root);
    ssl.X509_free(root);
  }
  // Reading to the end of a PEM leaves an error behind.
  ssl.ERR_clear_error();
  return context;
}

function fromPem<T>(pem: string, read: (bio: Pointer) => T): T {
  const ssl = openSsl();
  const bio = ssl.BIO_new(ssl.BIO_s_mem());
  const bytes = Buffer.from(pem);
  ssl.BIO_write(bio, bytes, bytes.length);
  try {
    return read(bio);
  } finally {
    ssl.BIO_free(bio);
  }
}

/** The caller owns them. */
function certificatesIn(pem: string): Pointer[] {
  if (pem === "") return [];
  return fromPem(pem, (bio) => {
    const found: Pointer[] = [];
    for (;;) {
      const one = openSsl().PEM_read_bio_X509(bio, null, null, null);
      if (one === 0) return found;
      found.push(one);
    }
  });
}

export function isTlsSettings(context: TlsServerContext | TlsClientContext): context is (TlsServerContext | TlsClientContext) & TlsSettings {
  return "context" in context;
}
