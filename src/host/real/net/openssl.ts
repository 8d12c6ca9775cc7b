/**
 * OpenSSL as Node has it linked in, by FFI: what node:tls does per connection, without its streams. Only what
 * tls-context.ts and tls-session.ts need. Pointers are numbers that nobody else may keep: each is freed by who made it.
 */
import { foreign, nativeMemory } from "#host/real/libc.ts";

/** An SSL_CTX, SSL, BIO, X509 ...; 0 is none. */
export type Pointer = number;

/** Certificates, keys and the contexts made of them; errors; memory BIOs. */
interface ContextCalls {
  readonly ERR_clear_error: () => void;
  readonly ERR_get_error: () => number;
  readonly ERR_reason_error_string: (code: number) => string | null;
  readonly X509_verify_cert_error_string: (code: number) => string;
  readonly BIO_new: (method: Pointer) => Pointer;
  readonly BIO_s_mem: () => Pointer;
  readonly BIO_free: (bio: Pointer) => number;
  readonly BIO_write: (bio: Pointer, bytes: Uint8Array, length: number) => number;
  readonly writeAt: (bio: Pointer, address: number, length: number) => number;
  readonly BIO_read: (bio: Pointer, into: Uint8Array, length: number) => number;
  readonly readAt: (bio: Pointer, address: number, length: number) => number;
  readonly BIO_ctrl_pending: (bio: Pointer) => number;
  readonly PEM_read_bio_X509: (bio: Pointer, x: null, callback: null, user: null) => Pointer;
  readonly PEM_read_bio_PrivateKey: (bio: Pointer, x: null, callback: null, user: null) => Pointer;
  readonly EVP_PKEY_free: (key: Pointer) => void;
  readonly X509_free: (certificate: Pointer) => void;
  readonly i2d_X509_bio: (bio: Pointer, certificate: Pointer) => number;
  readonly X509_STORE_add_cert: (store: Pointer, certificate: Pointer) => number;
  readonly SSL_CTX_new: (method: Pointer) => Pointer;
  readonly SSL_CTX_free: (context: Pointer) => void;
  readonly TLS_method: () => Pointer;
  readonly SSL_CTX_ctrl: (context: Pointer, command: number, number: number, pointer: Pointer) => number;
  readonly setGroups: (context: Pointer, command: number, number: number, groups: string) => number;
  readonly SSL_CTX_set_ciphersuites: (context: Pointer, suites: string) => number;
  readonly SSL_CTX_set_cipher_list: (context: Pointer, ciphers: string) => number;
  readonly SSL_CTX_set_options: (context: Pointer, options: number) => number;
  readonly SSL_CTX_set_session_id_context: (context: Pointer, id: string, length: number) => number;
  readonly SSL_CTX_use_certificate: (context: Pointer, certificate: Pointer) => number;
  readonly SSL_CTX_use_PrivateKey: (context: Pointer, key: Pointer) => number;
  readonly SSL_CTX_check_private_key: (context: Pointer) => number;
  readonly SSL_CTX_get_cert_store: (context: Pointer) => Pointer;
  readonly SSL_CTX_add_client_CA: (context: Pointer, certificate: Pointer) => number;
  readonly SSL_CTX_set_alpn_protos: (context: Pointer, protocols: Uint8Array, length: number) => number;
  readonly SSL_CTX_set_verify: (context: Pointer, mode: number, callback: unknown) => void;
}

/** One connection. */
interface SessionCalls {
  readonly SSL_new: (context: Pointer) => Pointer;
  readonly SSL_free: (ssl: Pointer) => void;
  readonly SSL_set_bio: (ssl: Pointer, read: Pointer, write: Pointer) => void;
  readonly SSL_set_accept_state: (ssl: Pointer) => void;
  readonly SSL_set_connect_state: (ssl: Pointer) => void;
  readonly setServerName: (ssl: Pointer, command: number, number: number, name: string) => number;
  readonly SSL_do_handshake: (ssl: Pointer) => number;
  readonly SSL_read: (ssl: Pointer, address: number, length: number) => number;
  readonly SSL_write: (ssl: Pointer, bytes: Uint8Array, length: number) => number;
  readonly encryptAt: (ssl: Pointer, address: number, length: number) => number;
  readonly SSL_get_error: (ssl: Pointer, result: number) => number;
  readonly SSL_shutdown: (ssl: Pointer) => number;
  readonly SSL_get_version: (ssl: Pointer) => string;
  readonly SSL_get_servername: (ssl: Pointer, type: number) => string | null;
  readonly SSL_get0_alpn_selected: (ssl: Pointer, protocol: [number | bigint], length: [number]) => void;
  readonly SSL_get1_peer_certificate: (ssl: Pointer) => Pointer;
  readonly SSL_get_verify_result: (ssl: Pointer) => number;
  readonly memcpy: (into: Uint8Array, from: Pointer, length: number) => unknown;
}

export interface OpenSsl extends ContextCalls, SessionCalls {
  /** A C function that lets a chain pass whose check failed: the result is read after the handshake, with the names. */
  readonly letPass: unknown;
  /** Makes a server choose from a list of protocols; the answer forgets it, once the context is gone. */
  chooseProtocol(context: Pointer, list: Uint8Array): () => void;
}

/** SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_ALERT_FATAL, OPENSSL_NPN_NEGOTIATED. */
const OK = 0;
const ALERT_FATAL = 2;
const NEGOTIATED = 1;

let loaded: OpenSsl | undefined;

export function openSsl(): OpenSsl {
  return (loaded ??= load());
}

/** A C pointer that is passed as a number. */
const p = "uintptr_t";

type Declare = ReturnType<typeof foreign>["declare"];
function load(): OpenSsl {
  const { koffi, declare } = foreign();
  koffi.proto("int weft_verify_callback(int ok, void *store)");
  return {
    ...ofContexts(declare),
    ...ofSessions(declare),
    letPass: koffi.register(() => 1, koffi.pointer("weft_verify_callback")),
    chooseProtocol: protocolChooser(koffi, declare),
  };
}

function ofContexts(declare: Declare): ContextCalls {
  return {
    ERR_clear_error: declare("void ERR_clear_error()"),
    ERR_get_error: declare("unsigned long ERR_get_error()"),
    ERR_reason_error_string: declare("const char *ERR_reason_error_string(unsigned long code)"),
    X509_verify_cert_error_string: declare("const char *X509_verify_cert_error_string(long code)"),
    BIO_new: declare(`${p} BIO_new(${p} method)`),
    BIO_s_mem: declare(`${p} BIO_s_mem()`),
    BIO_free: declare(`int BIO_free(${p} bio)`),
    BIO_write: declare(`int BIO_write(${p} bio, const void *bytes, int length)`),
    writeAt: declare(`int BIO_write(${p} bio, ${p} address, int length)`),
    BIO_read: declare(`int BIO_read(${p} bio, void *into, int length)`),
    readAt: declare(`int BIO_read(${p} bio, ${p} address, int length)`),
    BIO_ctrl_pending: declare(`int BIO_ctrl_pending(${p} bio)`),
    PEM_read_bio_X509: declare(`${p} PEM_read_bio_X509(${p} bio, void *x, void *callback, void *user)`),
    PEM_read_bio_PrivateKey: declare(`${p} PEM_read_bio_PrivateKey(${p} bio, void *x, void *callback, void *user)`),
    EVP_PKEY_free: declare(`void EVP_PKEY_free(${p} key)`),
    X509_free: declare(`void X509_free(${p} certificate)`),
    i2d_X509_bio: declare(`int i2d_X509_bio(${p} bio, ${p} certificate)`),
    X509_STORE_add_cert: declare(`int X509_STORE_add_cert(${p} store, ${p} certificate)`),
    SSL_CTX_new: declare(`${p} SSL_CTX_new(${p} method)`),
    SSL_CTX_free: declare(`void SSL_CTX_free(${p} context)`),
    TLS_method: declare(`${p} TLS_method()`),
    SSL_CTX_ctrl: declare(`long SSL_CTX_ctrl(${p} context, int command, long number, ${p} pointer)`),
    setGroups: declare(`long SSL_CTX_ctrl(${p} context, int command, long number, const char *groups)`),
    SSL_CTX_set_ciphersuites: declare(`int SSL_CTX_set_ciphersuites(${p} context, const char *suites)`),
    SSL_CTX_set_cipher_list: declare(`int SSL_CTX_set_cipher_list(${p} context, const char *ciphers)`),
    SSL_CTX_set_options: declare(`uint64_t SSL_CTX_set_options(${p} context, uint64_t options)`),
    SSL_CTX_set_session_id_context: declare(`int SSL_CTX_set_session_id_context(${p} context, const char *id, uint32_t length)`),
    SSL_CTX_use_certificate: declare(`int SSL_CTX_use_certificate(${p} context, ${p} certificate)`),
    SSL_CTX_use_PrivateKey: declare(`int SSL_CTX_use_PrivateKey(${p} context, ${p} key)`),
    SSL_CTX_check_private_key: declare(`int SSL_CTX_check_private_key(${p} context)`),
    SSL_CTX_get_cert_store: declare(`${p} SSL_CTX_get_cert_store(${p} context)`),
    SSL_CTX_add_client_CA: declare(`int SSL_CTX_add_client_CA(${p} context, ${p} certificate)`),
    SSL_CTX_set_alpn_protos: declare(`int SSL_CTX_set_alpn_protos(${p} context, const void *protocols, uint32_t length)`),
    SSL_CTX_set_verify: declare(`void SSL_CTX_set_verify(${p} context, int mode, weft_verify_callback *callback)`),
  };
}

function ofSessions(declare: Declare): SessionCalls {
  return {
    SSL_new: declare(`${p} SSL_new(${p} context)`),
    SSL_free: declare(`void SSL_free(${p} ssl)`),
    SSL_set_bio: declare(`void SSL_set_bio(${p} ssl, ${p} read, ${p} write)`),
    SSL_set_accept_state: declare(`void SSL_set_accept_state(${p} ssl)`),
    SSL_set_connect_state: declare(`void SSL_set_connect_state(${p} ssl)`),
    setServerName: declare(`long SSL_ctrl(${p} ssl, int command, long number, const char *name)`),
    SSL_do_handshake: declare(`int SSL_do_handshake(${p} ssl)`),
    SSL_read: declare(`int SSL_read(${p} ssl, ${p} address, int length)`),
    SSL_write: declare(`int SSL_write(${p} ssl, const void *bytes, int length)`),
    encryptAt: declare(`int SSL_write(${p} ssl, ${p} address, int length)`),
    SSL_get_error: declare(`int SSL_get_error(${p} ssl, int result)`),
    SSL_shutdown: declare(`int SSL_shutdown(${p} ssl)`),
    SSL_get_version: declare(`const char *SSL_get_version(${p} ssl)`),
    SSL_get_servername: declare(`const char *SSL_get_servername(${p} ssl, int type)`),
    SSL_get0_alpn_selected: declare(`void SSL_get0_alpn_selected(${p} ssl, _Out_ ${p} *protocol, _Out_ uint32_t *length)`),
    SSL_get1_peer_certificate: declare(`${p} SSL_get1_peer_certificate(${p} ssl)`),
    SSL_get_verify_result: declare(`long SSL_get_verify_result(${p} ssl)`),
    memcpy: declare(`void *memcpy(void *into, ${p} from, size_t length)`),
  };
}

function protocolChooser(koffi: ReturnType<typeof foreign>["koffi"], declare: Declare): OpenSsl["chooseProtocol"] {
  koffi.proto("int weft_alpn_callback(void *ssl, void *out, void *outLength, void *client, uint32_t clientLength, void *user)");
  const SSL_CTX_set_alpn_select_cb: (context: Pointer, callback: unknown, user: Pointer) => void = declare(
    `void SSL_CTX_set_alpn_select_cb(${p} context, weft_alpn_callback *callback, ${p} user)`,
  );
  const SSL_select_next_proto: (...args: unknown[]) => number = declare(
    `int SSL_select_next_proto(void *out, void *outLength, ${p} server, uint32_t serverLength, void *client, uint32_t clientLength)`,
  );
  return (context, list) => {
    // OpenSSL keeps pointing into the list, so it must not move.
    const { bytes, address } = nativeMemory(list.length);
    new Uint8Array(bytes).set(list);
    const choose = (_ssl: unknown, out: unknown, outLength: unknown, client: unknown, clientLength: number): number =>
      SSL_select_next_proto(out, outLength, address, list.length, client, clientLength) === NEGOTIATED ? OK : ALERT_FATAL;
    const callback = koffi.register(choose, koffi.pointer("weft_alpn_callback"));
    SSL_CTX_set_alpn_select_cb(context, callback, 0);
    return () => koffi.unregister(callback);
  };
}
