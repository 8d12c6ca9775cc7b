/** The stats of one cluster, made once; common codes are kept at hand so that a request builds no name. */
import { TlsStats } from "#proxy/tls/tls-stats.ts";
import type { Counter, Histogram, Scope, Stats } from "#proxy/stats/stats.ts";

/** Codes of one origin of answers: the upstream's last word, or what was tried again. */
class CodeStats {
  readonly #scope: Scope;
  readonly #prefix: string;
  readonly #codes: Counter[] = [];
  readonly #classes: Counter[] = [];
  #completed: Counter | undefined;

  constructor(scope: Scope, prefix: string) {
    this.#scope = scope;
    this.#prefix = prefix;
  }

  answered(status: number): void {
    (this.#completed ??= this.#scope.counter(`${this.#prefix}upstream_rq_completed`)).value++;
    const codeClass = status < 600 ? Math.floor(status / 100) : 0;
    // A status that no class has is one of its own, or strangers could make a stat a request.
    if (codeClass === 0) (this.#classes[0] ??= this.#scope.counter(`${this.#prefix}upstream_rq_unknown`)).value++;
    else {
      (this.#classes[codeClass] ??= this.#scope.codeClass(`${this.#prefix}upstream_rq`, codeClass)).value++;
      (this.#codes[status] ??= this.#scope.code(`${this.#prefix}upstream_rq`, status)).value++;
    }
  }
}

export class ClusterStats {
  readonly #answers: CodeStats;
  readonly #external: CodeStats;
  readonly #retried: CodeStats;
  readonly cxTotal: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxActive: Counter;
  readonly cxConnectFail: Counter;
  readonly cxConnectTimeout: Counter;
  readonly cxDestroy: Counter;
  readonly cxDestroyLocal: Counter;
  readonly cxDestroyRemote: Counter;
  readonly cxDestroyActive: Counter;
  readonly cxDestroyLocalActive: Counter;
  readonly cxDestroyRemoteActive: Counter;
  readonly cxCloseNotify: Counter;
  readonly cxProtocolError: Counter;
  readonly cxIdleTimeout: Counter;
  readonly cxMaxRequests: Counter;
  readonly cxOverflow: Counter;
  /** Of TCP proxies. */
  readonly cxAttemptsExceeded: Counter;
  readonly cxNoneHealthy: Counter;
  readonly cxConnectTime: Histogram;
  readonly cxLength: Histogram;
  readonly #rqPerCx: Histogram;
  readonly rqTotal: Counter;
  readonly rqActive: Counter;
  readonly rqPendingTotal: Counter;
  readonly rqPendingActive: Counter;
  readonly rqPendingOverflow: Counter;
  readonly rqPendingFailed: Counter;
  readonly rqTimeout: Counter;
  readonly rqPerTryTimeout: Counter;
  readonly rqRetry: Counter;
  readonly rqRetryBackoff: Counter;
  readonly rqRetrySuccess: Counter;
  readonly rqRetryLimitExceeded: Counter;
  readonly rqCancelled: Counter;
  #rqTime: Histogram | undefined;
  #externalTime: Histogram | undefined;
  readonly #scope: Scope;
  #tls: TlsStats | undefined;
  readonly lbPanic: Counter;
  readonly membershipTotal: Counter;
  readonly membershipHealthy: Counter;
  readonly membershipChange: Counter;
  readonly rxBytes: Counter;
  readonly txBytes: Counter;

  constructor(stats: Stats, name: string) {
    const scope = stats.cluster(name);
    this.#answers = new CodeStats(scope, "");
    this.#external = new CodeStats(scope, "external.");
    this.#retried = new CodeStats(scope, "retry.");
    this.cxTotal = scope.counter("upstream_cx_total");
    this.cxHttp1Total = scope.counter("upstream_cx_http1_total");
    this.cxActive = scope.gauge("upstream_cx_active");
    this.cxConnectFail = scope.counter("upstream_cx_connect_fail");
    this.cxConnectTimeout = scope.counter("upstream_cx_connect_timeout");
    this.cxDestroy = scope.counter("upstream_cx_destroy");
    this.cxDestroyLocal = scope.counter("upstream_cx_destroy_local");
    this.cxDestroyRemote = scope.counter("upstream_cx_destroy_remote");
    this.cxDestroyActive = scope.counter("upstream_cx_destroy_with_active_rq");
    this.cxDestroyLocalActive = scope.counter("upstream_cx_destroy_local_with_active_rq");
    this.cxDestroyRemoteActive = scope.counter("upstream_cx_destroy_remote_with_active_rq");
    this.cxCloseNotify = scope.counter("upstream_cx_close_notify");
    this.cxProtocolError = scope.counter("upstream_cx_protocol_error");
    this.cxIdleTimeout = scope.counter("upstream_cx_idle_timeout");
    this.cxMaxRequests = scope.counter("upstream_cx_max_requests");
    this.cxAttemptsExceeded = scope.counter("upstream_cx_connect_attempts_exceeded");
    this.cxOverflow = scope.counter("upstream_cx_overflow");
    this.cxNoneHealthy = scope.counter("upstream_cx_none_healthy");
    this.cxConnectTime = scope.histogram("upstream_cx_connect_ms");
    this.#rqPerCx = scope.histogram("upstream_rq_per_cx");
    this.cxLength = scope.histogram("upstream_cx_length_ms");
    this.rqTotal = scope.counter("upstream_rq_total");
    this.rqActive = scope.gauge("upstream_rq_active");
    this.rqPendingTotal = scope.counter("upstream_rq_pending_total");
    this.rqPendingActive = scope.gauge("upstream_rq_pending_active");
    this.rqPendingOverflow = scope.counter("upstream_rq_pending_overflow");
    this.rqPendingFailed = scope.counter("upstream_rq_pending_failure_eject");
    this.rqTimeout = scope.counter("upstream_rq_timeout");
    this.rqPerTryTimeout = scope.counter("upstream_rq_per_try_timeout");
    this.rqRetry = scope.counter("upstream_rq_retry");
    this.rqRetryBackoff = scope.counter("upstream_rq_retry_backoff_exponential");
    this.rqRetrySuccess = scope.counter("upstream_rq_retry_success");
    this.rqRetryLimitExceeded = scope.counter("upstream_rq_retry_limit_exceeded");
    this.rqCancelled = scope.counter("upstream_rq_cancelled");
    this.#scope = scope;
    this.lbPanic = scope.counter("lb_healthy_panic");
    this.membershipTotal = scope.gauge("membership_total");
    this.membershipHealthy = scope.gauge("membership_healthy");
    this.membershipChange = scope.counter("membership_change");
    this.rxBytes = scope.counter("upstream_cx_rx_bytes_total");
    this.txBytes = scope.counter("upstream_cx_tx_bytes_total");
  }

  /** Made with the first endpoint that speaks TLS. */
  get tls(): TlsStats {
    return (this.#tls ??= new TlsStats(this.#scope));
  }

  /** A response of the upstream, or one made here in its place. Nothing that a proxy of ours is asked is "internal". */
  response(status: number): void {
    this.#answers.answered(status);
    this.#external.answered(status);
  }

  /** A response that the client does not get: the request is tried again. */
  retried(status: number): void {
    this.#retried.answered(status);
  }

  answeredAfter(durationMs: number): void {
    (this.#rqTime ??= this.#scope.histogram("upstream_rq_time")).record(durationMs);
    (this.#externalTime ??= this.#scope.histogram("external.upstream_rq_time")).record(durationMs);
  }

  /** `active`: a request was under way. */
  closed(end: { readonly byPeer: boolean; readonly active: boolean; readonly durationMs: number; readonly requests: number | undefined }): void {
    if (end.requests !== undefined) this.#rqPerCx.record(end.requests);
    this.cxDestroy.value++;
    (end.byPeer ? this.cxDestroyRemote : this.cxDestroyLocal).value++;
    if (end.active) {
      this.cxDestroyActive.value++;
      (end.byPeer ? this.cxDestroyRemoteActive : this.cxDestroyLocalActive).value++;
    }
    this.cxLength.record(end.durationMs);
  }
}
