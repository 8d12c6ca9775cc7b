/** `listener.<stat_prefix>.*`: connections from accept to close, and why TLS failed. */
import type { NetError, TlsFacts } from "#host/net.ts";
import type { Counter, Histogram, Scope } from "#proxy/stats/stats.ts";
import type { InspectorStats } from "./inspector-stats.ts";
import { TlsStats } from "#proxy/tls/tls-stats.ts";

export class ListenerStats {
  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxDestroy: Counter;
  readonly cxLength: Histogram;
  readonly preCxActive: Counter;
  readonly preCxTimeout: Counter;
  readonly inspectorClosed: Counter;
  readonly noChain: Counter;
  readonly handshakeTimeout: Counter;
  readonly #scope: Scope;
  #tls: TlsStats | undefined;

  readonly inspectors: InspectorStats;

  constructor(scope: Scope, inspectors: InspectorStats) {
    this.inspectors = inspectors;
    this.#scope = scope;
    this.cxTotal = scope.counter("downstream_cx_total");
    this.cxActive = scope.gauge("downstream_cx_active");
    this.cxDestroy = scope.counter("downstream_cx_destroy");
    this.cxLength = scope.histogram("downstream_cx_length_ms");
    this.preCxActive = scope.gauge("downstream_pre_cx_active");
    this.preCxTimeout = scope.counter("downstream_pre_cx_timeout");
    this.inspectorClosed = scope.counter("downstream_listener_filter_remote_close");
    this.noChain = scope.counter("no_filter_chain_match");
    this.handshakeTimeout = scope.counter("downstream_cx_transport_socket_connect_timeout");
  }

  /** Made with the first chain that has TLS. */
  get tls(): TlsStats {
    return (this.#tls ??= new TlsStats(this.#scope));
  }

  get secretsNotReady(): Counter {
    return this.#scope.counter("server_ssl_socket_factory.downstream_context_secrets_not_ready");
  }

  secured(facts: TlsFacts | undefined): void {
    this.tls.established(facts);
  }

  tlsFailed(error: NetError | undefined): void {
    this.tls.failed(error);
  }
}
