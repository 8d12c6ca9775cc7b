/**
 * TLS of one connection, as bytes in and bytes out: what the peer sent is fed in, what it means is opened; what is written
 * is sealed, and taken out to be sent. Sockets, turns and back-pressure are the connection's (connection.ts).
 */
import { isIP } from "node:net";
import { openSsl, type Pointer } from "./openssl.ts";

const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_ZERO_RETURN = 6;
const NAMETYPE_HOST = 0;

/** Results of `open` that are no lengths. */
export const NOTHING = 0;
export const ENDED = -1;
export const BROKEN = -2;

export interface TlsFailure {
  /** As Node names them: ERR_SSL_WRONG_VERSION_NUMBER. */
  readonly code: string;
  readonly message: string;
}

export class TlsSession {
  readonly #c = openSsl();
  #ssl: Pointer;
  readonly #in: Pointer;
  readonly #out: Pointer;

  constructor(sslContext: Pointer, side: "client" | "server", serverName: string | undefined) {
    const c = this.#c;
    this.#ssl = c.SSL_new(sslContext);
    this.#in = c.BIO_new(c.BIO_s_mem());
    this.#out = c.BIO_new(c.BIO_s_mem());
    // The SSL owns them from now on.
    c.SSL_set_bio(this.#ssl, this.#in, this.#out);
    if (side === "server") c.SSL_set_accept_state(this.#ssl);
    else c.SSL_set_connect_state(this.#ssl);
    if (side === "client" && serverName !== undefined && isIP(serverName) === 0)
      c.setServerName(this.#ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, NAMETYPE_HOST, serverName);
  }

  feed(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#c.BIO_write(this.#in, bytes, bytes.length);
  }

  feedAt(address: number, length: number): void {
    this.#c.writeAt(this.#in, address, length);
  }

  /** true: done; false: the peer must say more. What is to be sent can be taken out in every case. */
  handshake(): boolean | TlsFailure {
    const c = this.#c;
    c.ERR_clear_error();
    const result = c.SSL_do_handshake(this.#ssl);
    if (result === 1) return true;
    return c.SSL_get_error(this.#ssl, result) === SSL_ERROR_WANT_READ ? false : this.failure();
  }

  /** The first error that OpenSSL has noted. */
  failure(): TlsFailure {
    const c = this.#c;
    const reason = c.ERR_reason_error_string(c.ERR_get_error());
    c.ERR_clear_error();
    if (reason === null) return { code: "ERR_TLS_HANDSHAKE", message: "the TLS connection failed" };
    return { code: `ERR_SSL_${reason.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`, message: reason };
  }

  /** Opened bytes at `address`: their length, NOTHING, ENDED (close_notify) or BROKEN. */
  open(address: number, capacity: number): number {
    const c = this.#c;
    let length = 0;
    // What somebody else on this thread left behind would be taken for our failure.
    c.ERR_clear_error();
    // Several records make one read.
    do {
      const opened = c.SSL_read(this.#ssl, address + length, capacity - length);
      if (opened <= 0) {
        if (length > 0) return length;
        const error = c.SSL_get_error(this.#ssl, opened);
        if (error === SSL_ERROR_ZERO_RETURN) return ENDED;
        return error === SSL_ERROR_WANT_READ ? NOTHING : BROKEN;
      }
      length += opened;
    } while (length < capacity && c.BIO_ctrl_pending(this.#in) > 0);
    return length;
  }

  /** The peer has sent more than was opened. */
  get hasMore(): boolean {
    return this.#c.BIO_ctrl_pending(this.#in) > 0;
  }

  /** Writes to memory always succeed; only a broken session refuses. */
  seal(bytes: Uint8Array): void {
    this.#c.SSL_write(this.#ssl, bytes, bytes.length);
  }

  sealAt(address: number, length: number): void {
    this.#c.encryptAt(this.#ssl, address, length);
  }

  /** Moves sealed bytes to `address`; how many. */
  take(address: number, capacity: number): number {
    return Math.max(0, this.#c.readAt(this.#out, address, capacity));
  }

  /** Seals a close_notify. */
  shutdown(): void {
    this.#c.SSL_shutdown(this.#ssl);
  }

  get version(): string {
    return this.#c.SSL_get_version(this.#ssl);
  }

  /** What the client asked for (server's side). */
  get serverName(): string | undefined {
    return this.#c.SSL_get_servername(this.#ssl, NAMETYPE_HOST) ?? undefined;
  }

  get alpn(): string | undefined {
    const protocol: [number | bigint] = [0];
    const length: [number] = [0];
    this.#c.SSL_get0_alpn_selected(this.#ssl, protocol, length);
    if (length[0] === 0) return undefined;
    const name = Buffer.alloc(length[0]);
    this.#c.memcpy(name, Number(protocol[0]), name.length);
    return name.toString("latin1");
  }

  /** DER of the peer's leaf. */
  get peerCertificate(): Buffer | undefined {
    const c = this.#c;
    const certificate = c.SSL_get1_peer_certificate(this.#ssl);
    if (certificate === 0) return undefined;
    const bio = c.BIO_new(c.BIO_s_mem());
    c.i2d_X509_bio(bio, certificate);
    const der = Buffer.alloc(c.BIO_ctrl_pending(bio));
    c.BIO_read(bio, der, der.length);
    c.BIO_free(bio);
    c.X509_free(certificate);
    return der;
  }

  /** Why the peer's chain does not verify. */
  get chainFailure(): TlsFailure | undefined {
    const result = this.#c.SSL_get_verify_result(this.#ssl);
    if (result === 0) return undefined;
    return { code: CHAIN_CODES[result] ?? "ERR_TLS_CERTIFICATE", message: this.#c.X509_verify_cert_error_string(result) };
  }

  free(): void {
    if (this.#ssl === 0) return;
    this.#c.SSL_free(this.#ssl);
    this.#ssl = 0;
  }
}

/** X509_V_ERR_ of openssl/x509_vfy.h, by Node's names. */
const CHAIN_CODES: Readonly<Record<number, string>> = {
  2: "UNABLE_TO_GET_ISSUER_CERT",
  7: "CERT_SIGNATURE_FAILURE",
  9: "CERT_NOT_YET_VALID",
  10: "CERT_HAS_EXPIRED",
  18: "DEPTH_ZERO_SELF_SIGNED_CERT",
  19: "SELF_SIGNED_CERT_IN_CHAIN",
  20: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  21: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  22: "CERT_CHAIN_TOO_LONG",
  23: "CERT_REVOKED",
  24: "INVALID_CA",
  25: "PATH_LENGTH_EXCEEDED",
  26: "INVALID_PURPOSE",
  27: "CERT_UNTRUSTED",
  28: "CERT_REJECTED",
};
