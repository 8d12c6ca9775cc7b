/** What one HttpConnectionManager's configuration comes to: made once per filter chain, shared by its connections. */
import type { HeadLimits } from "#wire/http1/head-scanner.ts";
import type { AccessLogs } from "#proxy/access-logs.ts";
import type { Counter, Histogram, Scope } from "#proxy/stats/stats.ts";
import type { FaultFilter } from "./fault-filter.ts";
import type { RbacFilter, RbacStats } from "./rbac-filter.ts";
import type { RoutesRuntime } from "./route-runtime.ts";
import type { PeerCertificateSettings } from "./client-certificate.ts";

/** Swapped when a new version of the route configuration comes; a request keeps what it began with. */
export interface RoutesHolder {
  readonly name: string;
  current: RoutesRuntime | undefined;
}

export type HttpFilterRuntime =
  { readonly kind: "rbac"; readonly filter: RbacFilter; readonly stats: RbacStats } | { readonly kind: "fault"; readonly filter: FaultFilter };

export interface ConnectionManager {
  readonly stats: ManagerStats;
  readonly routes: RoutesHolder;
  readonly filters: readonly HttpFilterRuntime[];
  readonly limits: HeadLimits;
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "append-if-absent" | "pass-through";
  readonly useRemoteAddress: boolean;
  readonly trustedHops: number;
  readonly skipForwardedFor: boolean;
  readonly generateRequestId: boolean;
  readonly preserveRequestId: boolean;
  readonly requestIdInResponse: boolean;
  readonly acceptHttp10: boolean;
  readonly defaultHost: string;
  readonly forwardTrailers: boolean;
  readonly upgrades: ReadonlyMap<string, boolean>;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly stripPort: "none" | "matching" | "any";
  readonly streamIdleTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly delayedCloseMs: number;
  readonly maxRequestsPerConnection: number;
  readonly suppressEnvoyHeaders: boolean;
  readonly proxy100Continue: boolean;
  readonly peerCertificate: PeerCertificateSettings;
  readonly accessLogs: AccessLogs;
  /** May callers be told why (x-weft-why): always for our own application, else only peers with an identity. */
  readonly tellsWhy: "always" | "identified" | "never";
  readonly direction: "inbound" | "outbound" | "unspecified";
}

export class ManagerStats {
  readonly scope: Scope;
  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxHttp1Active: Counter;
  readonly cxDestroy: Counter;
  readonly cxProtocolError: Counter;
  readonly cxIdleTimeout: Counter;
  readonly rxBytes: Counter;
  readonly txBytes: Counter;
  readonly rqTotal: Counter;
  readonly rqHttp1Total: Counter;
  readonly rqActive: Counter;
  readonly rqCompleted: Counter;
  readonly rqRxReset: Counter;
  readonly rqTime: Histogram;
  readonly noRoute: Counter;
  readonly noCluster: Counter;
  readonly redirects: Counter;
  readonly directResponses: Counter;
  readonly routed: Counter;
  readonly upgradesTotal: Counter;
  readonly #classes: Counter[] = [];

  constructor(scope: Scope) {
    this.scope = scope;
    this.cxTotal = scope.counter("downstream_cx_total");
    this.cxActive = scope.gauge("downstream_cx_active");
    this.cxHttp1Total = scope.counter("downstream_cx_http1_total");
    this.cxHttp1Active = scope.gauge("downstream_cx_http1_active");
    this.cxDestroy = scope.counter("downstream_cx_destroy");
    this.cxProtocolError = scope.counter("downstream_cx_protocol_error");
    this.cxIdleTimeout = scope.counter("downstream_cx_idle_timeout");
    this.rxBytes = scope.counter("downstream_cx_rx_bytes_total");
    this.txBytes = scope.counter("downstream_cx_tx_bytes_total");
    this.rqTotal = scope.counter("downstream_rq_total");
    this.rqHttp1Total = scope.counter("downstream_rq_http1_total");
    this.rqActive = scope.gauge("downstream_rq_active");
    this.rqCompleted = scope.counter("downstream_rq_completed");
    this.rqRxReset = scope.counter("downstream_rq_rx_reset");
    this.rqTime = scope.histogram("downstream_rq_time");
    this.noRoute = scope.counter("no_route");
    this.noCluster = scope.counter("no_cluster");
    this.redirects = scope.counter("rq_redirect");
    this.directResponses = scope.counter("rq_direct_response");
    this.routed = scope.counter("rq_total");
    this.upgradesTotal = scope.counter("downstream_cx_upgrades_total");
    for (let codeClass = 1; codeClass <= 5; codeClass++) this.#classes[codeClass] = scope.codeClass("downstream_rq", codeClass);
  }

  /** 100 Continue counts as a response of its own, as in Envoy. */
  interim(): void {
    const counter = this.#classes[1];
    if (counter !== undefined) counter.value++;
    this.rqCompleted.value++;
  }

  completed(status: number, durationMs: number): void {
    const counter = this.#classes[Math.floor(status / 100)];
    if (counter !== undefined) counter.value++;
    this.rqCompleted.value++;
    this.rqTime.record(durationMs);
  }
}
