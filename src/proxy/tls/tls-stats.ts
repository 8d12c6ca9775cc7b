/** `ssl.*` of a listener or a cluster. */
import type { NetError, TlsFacts } from "#host/net.ts";
import type { Counter, Scope } from "#proxy/stats/stats.ts";

/** What the host says of a peer that presented nothing; the second is OpenSSL's own. */
const NO_CERTIFICATE = new Set(["ERR_TLS_NO_CERTIFICATE", "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"]);
const REFUSED_NAME = "ERR_TLS_PEER_REFUSED";
/** The handshake itself went wrong, before any certificate was judged. */
const BROKEN_HANDSHAKE = /^(ERR_SSL_|ERR_TLS_HANDSHAKE$|E[A-Z]+$)/;

export class TlsStats {
  readonly #scope: Scope;
  readonly #handshake: Counter;
  readonly #connectionError: Counter;
  readonly #noCertificate: Counter;
  readonly #failVerifyNoCertificate: Counter;
  readonly #failVerifyError: Counter;
  readonly #failVerifySan: Counter;
  readonly #versions = new Map<string, Counter>();

  constructor(scope: Scope) {
    this.#scope = scope;
    this.#handshake = scope.counter("ssl.handshake");
    this.#connectionError = scope.counter("ssl.connection_error");
    this.#noCertificate = scope.counter("ssl.no_certificate");
    this.#failVerifyNoCertificate = scope.counter("ssl.fail_verify_no_cert");
    this.#failVerifyError = scope.counter("ssl.fail_verify_error");
    this.#failVerifySan = scope.counter("ssl.fail_verify_san");
  }

  established(facts: TlsFacts | undefined): void {
    this.#handshake.value++;
    if (facts === undefined) return;
    if (facts.peerCertificate === undefined) this.#noCertificate.value++;
    let version = this.#versions.get(facts.version);
    if (version === undefined) this.#versions.set(facts.version, (version = this.#scope.tlsVersion(facts.version)));
    version.value++;
  }

  /** A peer that only went away is not an error of TLS. */
  failed(error: NetError | undefined): void {
    if (error === undefined || error.code === "ECONNRESET" || error.code === "ETIMEDOUT") return;
    if (NO_CERTIFICATE.has(error.code)) this.#failVerifyNoCertificate.value++;
    else if (error.code === REFUSED_NAME) this.#failVerifySan.value++;
    else if (BROKEN_HANDSHAKE.test(error.code)) this.#connectionError.value++;
    else this.#failVerifyError.value++;
  }
}
