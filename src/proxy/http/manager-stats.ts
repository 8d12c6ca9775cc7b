/** The stats of one connection manager: `http.<stat_prefix>.*`, and the response classes that each listener keeps beside. */
import type { Counter, Histogram, Scope } from "#proxy/stats/stats.ts";

export class ManagerStats {
  readonly scope: Scope;
  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxHttp1Active: Counter;
  readonly cxSslTotal: Counter;
  readonly cxSslActive: Counter;
  readonly cxDestroy: Counter;
  readonly cxDestroyLocal: Counter;
  readonly cxDestroyRemote: Counter;
  readonly cxDestroyActiveRq: Counter;
  readonly cxDestroyLocalActiveRq: Counter;
  readonly cxDestroyRemoteActiveRq: Counter;
  readonly cxProtocolError: Counter;
  readonly cxIdleTimeout: Counter;
  readonly cxDelayedCloseTimeout: Counter;
  readonly rxBytes: Counter;
  readonly txBytes: Counter;
  readonly cxLength: Histogram;
  readonly rqTotal: Counter;
  readonly rqHttp1Total: Counter;
  readonly rqActive: Counter;
  readonly rqCompleted: Counter;
  readonly rqRxReset: Counter;
  readonly rqTxReset: Counter;
  readonly rqResponseBeforeWhole: Counter;
  readonly rqFailedPathNormalization: Counter;
  readonly rqNonRelativePath: Counter;
  readonly rqUpgradeRefused: Counter;
  readonly rqHeaderTimeout: Counter;
  readonly rqTimeout: Counter;
  readonly rqIdleTimeout: Counter;
  readonly rqTime: Histogram;
  readonly noRoute: Counter;
  readonly noCluster: Counter;
  readonly directResponses: Counter;
  readonly routed: Counter;
  readonly upgradesTotal: Counter;
  readonly upgradesActive: Counter;
  readonly #classes: Counter[] = [];
  readonly #listenerCompleted: Counter;
  readonly #listenerClasses: Counter[] = [];

  constructor(scope: Scope, ofListener: Scope) {
    this.scope = scope;
    this.cxTotal = scope.counter("downstream_cx_total");
    this.cxActive = scope.gauge("downstream_cx_active");
    this.cxHttp1Total = scope.counter("downstream_cx_http1_total");
    this.cxHttp1Active = scope.gauge("downstream_cx_http1_active");
    this.cxSslTotal = scope.counter("downstream_cx_ssl_total");
    this.cxSslActive = scope.gauge("downstream_cx_ssl_active");
    this.cxDestroy = scope.counter("downstream_cx_destroy");
    this.cxDestroyLocal = scope.counter("downstream_cx_destroy_local");
    this.cxDestroyRemote = scope.counter("downstream_cx_destroy_remote");
    this.cxDestroyActiveRq = scope.counter("downstream_cx_destroy_active_rq");
    this.cxDestroyLocalActiveRq = scope.counter("downstream_cx_destroy_local_active_rq");
    this.cxDestroyRemoteActiveRq = scope.counter("downstream_cx_destroy_remote_active_rq");
    this.cxProtocolError = scope.counter("downstream_cx_protocol_error");
    this.cxIdleTimeout = scope.counter("downstream_cx_idle_timeout");
    this.cxDelayedCloseTimeout = scope.counter("downstream_cx_delayed_close_timeout");
    this.rxBytes = scope.counter("downstream_cx_rx_bytes_total");
    this.txBytes = scope.counter("downstream_cx_tx_bytes_total");
    this.cxLength = scope.histogram("downstream_cx_length_ms");
    this.rqTotal = scope.counter("downstream_rq_total");
    this.rqHttp1Total = scope.counter("downstream_rq_http1_total");
    this.rqActive = scope.gauge("downstream_rq_active");
    this.rqCompleted = scope.counter("downstream_rq_completed");
    this.rqRxReset = scope.counter("downstream_rq_rx_reset");
    this.rqTxReset = scope.counter("downstream_rq_tx_reset");
    this.rqResponseBeforeWhole = scope.counter("downstream_rq_response_before_rq_complete");
    this.rqFailedPathNormalization = scope.counter("downstream_rq_failed_path_normalization");
    this.rqNonRelativePath = scope.counter("downstream_rq_non_relative_path");
    this.rqUpgradeRefused = scope.counter("downstream_rq_ws_on_non_ws_route");
    this.rqHeaderTimeout = scope.counter("downstream_rq_header_timeout");
    this.rqTimeout = scope.counter("downstream_rq_timeout");
    this.rqIdleTimeout = scope.counter("downstream_rq_idle_timeout");
    this.rqTime = scope.histogram("downstream_rq_time");
    this.noRoute = scope.counter("no_route");
    this.noCluster = scope.counter("no_cluster");
    this.directResponses = scope.counter("rq_direct_response");
    this.routed = scope.counter("rq_total");
    this.upgradesTotal = scope.counter("downstream_cx_upgrades_total");
    this.upgradesActive = scope.gauge("downstream_cx_upgrades_active");
    this.#listenerCompleted = ofListener.counter("downstream_rq_completed");
    for (let codeClass = 1; codeClass <= 5; codeClass++) {
      this.#classes[codeClass] = scope.codeClass("downstream_rq", codeClass);
      this.#listenerClasses[codeClass] = ofListener.codeClass("downstream_rq", codeClass);
    }
  }

  /** Our own 100 Continue counts as a response, as in Envoy; what the upstream says in between does not. */
  interim(): void {
    this.#answered(100);
  }

  /** Status 0: it ended before anything was answered. */
  completed(status: number, durationMs: number, isWhole = true): void {
    if (status > 0) this.#answered(status);
    if (isWhole) this.rqTime.record(durationMs);
  }

  #answered(status: number): void {
    const codeClass = Math.floor(status / 100);
    this.rqCompleted.value++;
    this.#listenerCompleted.value++;
    const counter = this.#classes[codeClass];
    if (counter !== undefined) counter.value++;
    const ofListener = this.#listenerClasses[codeClass];
    if (ofListener !== undefined) ofListener.value++;
  }

  /** `active`: a request was under way. */
  closed(end: { readonly byPeer: boolean; readonly active: boolean; readonly durationMs: number }): void {
    this.cxDestroy.value++;
    (end.byPeer ? this.cxDestroyRemote : this.cxDestroyLocal).value++;
    if (end.active) {
      this.cxDestroyActiveRq.value++;
      (end.byPeer ? this.cxDestroyRemoteActiveRq : this.cxDestroyLocalActiveRq).value++;
    }
    this.cxLength.record(end.durationMs);
  }
}
