/** HttpConnectionManager message -> ConnectionManager. */
import type {
  HttpConnectionManager,
  HttpFilter,
} from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
} from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { HTTPFault } from "#wire/envoy/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import type { RBAC } from "#wire/envoy/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import type { Router } from "#wire/envoy/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileRange } from "#decide/match/ip-match.ts";
import { compileAccessLogs } from "#proxy/access-logs.ts";
import { durationMs } from "#proxy/config/durations.ts";
import { unpack } from "#proxy/config/unpack.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import { compilePeerCertificate } from "./client-certificate.ts";
import { type ConnectionManager, type HttpFilterRuntime, type RoutesHolder } from "./connection-manager.ts";
import { ManagerStats } from "./manager-stats.ts";
import { compileFault } from "./fault-filter.ts";
import { compileRbacFilter, RbacStats } from "./rbac-filter.ts";
import { compileRoutes, type RoutesRuntime } from "./route-runtime.ts";

export interface ManagerContext {
  readonly machine: ProxyMachine;
  /** The listener as its stats name it. */
  readonly listenerName: string;
  /** Holder of the route configuration that RDS fills. */
  readonly routesNamed: (name: string) => RoutesHolder;
  readonly direction: ConnectionManager["direction"];
  readonly tellsWhy: ConnectionManager["tellsWhy"];
}

/** Envoy's defaults. */
const IDLE_TIMEOUT_MS = 3_600_000;
const STREAM_IDLE_TIMEOUT_MS = 300_000;
const DELAYED_CLOSE_MS = 1_000;
const MAX_HEADERS_KB = 60;
const MAX_HEADERS = 100;

export function compileManager(config: HttpConnectionManager, path: string, context: ManagerContext): ConnectionManager {
  const { machine } = context;
  if (config.codecType === HttpConnectionManager_CodecType.HTTP2 || config.codecType === HttpConnectionManager_CodecType.HTTP3)
    throw new ConfigProblem(`${path}.codec_type`, `HTTP${config.codecType}: ${NOT_SUPPORTED}; use AUTO or HTTP1`);
  const stats = new ManagerStats(machine.stats.connectionManager(config.statPrefix), machine.stats.listenerHttp(context.listenerName, config.statPrefix));
  const { filters, router } = compileFilters(config.httpFilters, `${path}.http_filters`, stats);
  const { OVERWRITE, APPEND_IF_ABSENT } = HttpConnectionManager_ServerHeaderTransformation;
  const common = config.commonHttpProtocolOptions;
  const http1 = config.httpProtocolOptions;
  return {
    stats,
    filters,
    routes: routesOf(config, path, context),
    limits: { maxBytes: (config.maxRequestHeadersKb ?? MAX_HEADERS_KB) * 1024, maxHeaders: common?.maxHeadersCount ?? MAX_HEADERS },
    serverName: config.serverName === "" ? "envoy" : config.serverName,
    serverHeader:
      config.serverHeaderTransformation === OVERWRITE
        ? "overwrite"
        : config.serverHeaderTransformation === APPEND_IF_ABSENT
          ? "append-if-absent"
          : "pass-through",
    useRemoteAddress: config.useRemoteAddress ?? false,
    trustedHops: config.xffNumTrustedHops,
    internalRanges: (config.internalAddressConfig?.cidrRanges ?? []).map((range, i) =>
      compileRange(range, `${path}.internal_address_config.cidr_ranges[${i}]`),
    ),
    skipForwardedFor: config.skipXffAppend,
    generateRequestId: config.generateRequestId ?? true,
    preserveRequestId: config.preserveExternalRequestId,
    requestIdInResponse: config.alwaysSetRequestIdInResponse,
    acceptHttp10: http1?.acceptHttp10 ?? false,
    defaultHost: http1?.defaultHostForHttp10 ?? "",
    anyMethod: http1?.allowCustomMethods ?? false,
    forwardTrailers: http1?.enableTrailers ?? false,
    upgrades: new Map(config.upgradeConfigs.map(({ upgradeType, enabled }) => [upgradeType.toLowerCase(), enabled ?? true])),
    normalizePath: config.normalizePath ?? false,
    mergeSlashes: config.mergeSlashes,
    refusesEscapedSlashes: config.pathWithEscapedSlashesAction === HttpConnectionManager_PathWithEscapedSlashesAction.REJECT_REQUEST,
    stripPort: config.stripPortMode.case === "stripAnyHostPort" && config.stripPortMode.value ? "any" : config.stripMatchingHostPort ? "matching" : "none",
    streamIdleTimeoutMs: durationMs(config.streamIdleTimeout) ?? STREAM_IDLE_TIMEOUT_MS,
    requestTimeoutMs: durationMs(config.requestTimeout) ?? 0,
    headersTimeoutMs: durationMs(config.requestHeadersTimeout) ?? 0,
    idleTimeoutMs: durationMs(common?.idleTimeout) ?? IDLE_TIMEOUT_MS,
    delayedCloseMs: durationMs(config.delayedCloseTimeout) ?? DELAYED_CLOSE_MS,
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    suppressEnvoyHeaders: router.suppressEnvoyHeaders,
    proxy100Continue: config.proxy100Continue,
    peerCertificate: compilePeerCertificate(config),
    accessLogs: compileAccessLogs(config.accessLog, machine.accessLogs, `${path}.access_log`),
    tellsWhy: context.tellsWhy,
    direction: context.direction,
  };
}

function routesOf(config: HttpConnectionManager, path: string, context: ManagerContext): RoutesHolder {
  const specifier = config.routeSpecifier;
  if (specifier.case === "rds") return context.routesNamed(specifier.value.routeConfigName);
  if (specifier.case === "routeConfig") {
    const current = compileRoutes(specifier.value);
    // As Envoy does: what stands in the file can be checked now; what RDS sends may come before its clusters.
    if (specifier.value.validateClusters !== false) requireClusters(current, `${path}.route_config`, context);
    return { name: specifier.value.name, current };
  }
  throw new ConfigProblem(path, specifier.case === undefined ? "needs rds or route_config" : `scoped_routes: ${NOT_SUPPORTED}`);
}

function requireClusters({ routes }: RoutesRuntime, path: string, { machine }: ManagerContext): void {
  for (const { act, entry } of routes) {
    if (act.kind !== "forward") continue;
    const unknown = act.clusters.shares.find(({ cluster }) => !machine.clusters.has(cluster));
    if (unknown !== undefined) throw new ConfigProblem(path, `${entry.path}: unknown cluster "${unknown.cluster}"; add it, or set validate_clusters: false`);
  }
}

/** Order is the configuration's; the router is the last. */
function compileFilters(configs: readonly HttpFilter[], path: string, stats: ManagerStats): { filters: HttpFilterRuntime[]; router: Router } {
  const filters: HttpFilterRuntime[] = [];
  for (const [i, { configType, name }] of configs.entries()) {
    const at = `${path}[${i}].typed_config`;
    const config = unpack(configType.case === "typedConfig" ? configType.value : undefined, at);
    switch (config.$typeName) {
      case "envoy.extensions.filters.http.router.v3.Router":
        if (i !== configs.length - 1) throw new ConfigProblem(`${path}[${i}]`, `"${name}" ends the chain, so it must be the last filter`);
        return { filters, router: config as Router };
      case "envoy.extensions.filters.http.rbac.v3.RBAC": {
        const filter = compileRbacFilter(config as RBAC, at);
        filters.push({ kind: "rbac", filter, stats: new RbacStats(stats.scope, filter.rulesPrefix, filter.shadowPrefix) });
        break;
      }
      case "envoy.extensions.filters.http.fault.v3.HTTPFault":
        filters.push({ kind: "fault", filter: compileFault(config as HTTPFault, at) });
        break;
      default:
        throw new ConfigProblem(at, `${config.$typeName}: ${NOT_SUPPORTED}`);
    }
  }
  throw new ConfigProblem(path, "has no router; the last filter must be envoy.extensions.filters.http.router.v3.Router");
}
