/** What one HttpConnectionManager's configuration comes to: made once per filter chain, shared by its connections. */
import type { Cidr } from "#lib/ip.ts";
import type { HeadLimits } from "#wire/http1/head-scanner.ts";
import type { AccessLogs } from "#proxy/access-logs.ts";
import type { FaultFilter } from "./fault-filter.ts";
import type { RbacFilter, RbacStats } from "./rbac-filter.ts";
import type { RoutesRuntime } from "./route-runtime.ts";
import type { ManagerStats } from "./manager-stats.ts";
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
  /** internal_address_config: who may set the headers that steer a router. */
  readonly internalRanges: readonly Cidr[];
  readonly skipForwardedFor: boolean;
  readonly generateRequestId: boolean;
  readonly preserveRequestId: boolean;
  readonly requestIdInResponse: boolean;
  readonly acceptHttp10: boolean;
  readonly defaultHost: string;
  readonly anyMethod: boolean;
  readonly forwardTrailers: boolean;
  readonly upgrades: ReadonlyMap<string, boolean>;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  /** %2F and %5C in a path are refused. */
  readonly refusesEscapedSlashes: boolean;
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
