/** The stats of one cluster, made once; common codes are kept at hand so that a request builds no name. */
import type { Counter, Histogram, Scope, Stats } from "#proxy/stats/stats.ts";

export class ClusterStats {
  readonly #scope: Scope;
  readonly #codes: Counter[] = [];
  readonly #classes: Counter[] = [];
  readonly cxTotal: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxActive: Counter;
  readonly cxConnectFail: Counter;
  readonly cxConnectTimeout: Counter;
  readonly cxDestroy: Counter;
  readonly cxOverflow: Counter;
  readonly cxNoneHealthy: Counter;
  readonly rqTotal: Counter;
  readonly rqActive: Counter;
  readonly rqCompleted: Counter;
  readonly rqPendingTotal: Counter;
  readonly rqPendingActive: Counter;
  readonly rqPendingOverflow: Counter;
  readonly rqTimeout: Counter;
  readonly rqPerTryTimeout: Counter;
  readonly rqRetry: Counter;
  readonly rqRetrySuccess: Counter;
  readonly rqRetryLimitExceeded: Counter;
  readonly rqCancelled: Counter;
  readonly rqRxReset: Counter;
  readonly rqTime: Histogram;
  readonly membershipTotal: Counter;
  readonly membershipHealthy: Counter;
  readonly membershipChange: Counter;
  readonly rxBytes: Counter;
  readonly txBytes: Counter;

  constructor(stats: Stats, name: string) {
    const scope = stats.cluster(name);
    this.#scope = scope;
    this.cxTotal = scope.counter("upstream_cx_total");
    this.cxHttp1Total = scope.counter("upstream_cx_http1_total");
    this.cxActive = scope.gauge("upstream_cx_active");
    this.cxConnectFail = scope.counter("upstream_cx_connect_fail");
    this.cxConnectTimeout = scope.counter("upstream_cx_connect_timeout");
    this.cxDestroy = scope.counter("upstream_cx_destroy");
    this.cxOverflow = scope.counter("upstream_cx_overflow");
    this.cxNoneHealthy = scope.counter("upstream_cx_none_healthy");
    this.rqTotal = scope.counter("upstream_rq_total");
    this.rqActive = scope.gauge("upstream_rq_active");
    this.rqCompleted = scope.counter("upstream_rq_completed");
    this.rqPendingTotal = scope.counter("upstream_rq_pending_total");
    this.rqPendingActive = scope.gauge("upstream_rq_pending_active");
    this.rqPendingOverflow = scope.counter("upstream_rq_pending_overflow");
    this.rqTimeout = scope.counter("upstream_rq_timeout");
    this.rqPerTryTimeout = scope.counter("upstream_rq_per_try_timeout");
    this.rqRetry = scope.counter("upstream_rq_retry");
    this.rqRetrySuccess = scope.counter("upstream_rq_retry_success");
    this.rqRetryLimitExceeded = scope.counter("upstream_rq_retry_limit_exceeded");
    this.rqCancelled = scope.counter("upstream_rq_cancelled");
    this.rqRxReset = scope.counter("upstream_rq_rx_reset");
    this.rqTime = scope.histogram("upstream_rq_time");
    this.membershipTotal = scope.gauge("membership_total");
    this.membershipHealthy = scope.gauge("membership_healthy");
    this.membershipChange = scope.counter("membership_change");
    this.rxBytes = scope.counter("upstream_cx_rx_bytes_total");
    this.txBytes = scope.counter("upstream_cx_tx_bytes_total");
  }

  /** A response of the upstream, or one made here in its place. */
  response(status: number): void {
    const codeClass = Math.floor(status / 100);
    (this.#classes[codeClass] ??= this.#scope.codeClass("upstream_rq", codeClass)).value++;
    (this.#codes[status] ??= this.#scope.code("upstream_rq", status)).value++;
    this.rqCompleted.value++;
  }
}
