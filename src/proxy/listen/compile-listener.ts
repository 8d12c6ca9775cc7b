/** envoy.config.listener.v3.Listener -> what an accepted connection goes through. */
import type { FilterChain } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { TrafficDirection } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import type { HttpConnectionManager } from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { RBAC } from "#wire/envoy/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import type { TcpProxy } from "#wire/envoy/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { DownstreamTlsContext } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { parseIp } from "#lib/ip.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileFilterChains, type FilterChains } from "#decide/filter-chain/filter-chain.ts";
import type { SocketAddress, StreamAddress } from "#host/net.ts";
import { type AccessLogs, compileAccessLogs } from "#proxy/access-logs.ts";
import { durationMs } from "#proxy/config/durations.ts";
import { unpack } from "#proxy/config/unpack.ts";
import { compileManager, type ManagerContext } from "#proxy/http/compile-manager.ts";
import type { ConnectionManager } from "#proxy/http/connection-manager.ts";
import { compileRbacFilter, type RbacFilter, RbacStats } from "#proxy/http/rbac-filter.ts";
import { ServerTls } from "#proxy/tls/tls-config.ts";
import { type TcpProxySettings, TcpProxyStats } from "./tcp-proxy.ts";

/** A chain's terminal filter. Connections hold the holder: a new version of the chain reaches their next request. */
export interface HttpHolder {
  readonly kind: "http";
  current: ConnectionManager;
  /** The chain is gone: connections end after their next response. */
  gone: boolean;
}

export interface NetworkRbac {
  readonly filter: RbacFilter;
  readonly stats: RbacStats;
}

export interface ChainRuntime {
  /** Chains of the same key in two versions of a listener are the same chain. */
  readonly key: string;
  readonly tls: ServerTls | undefined;
  readonly handshakeTimeoutMs: number;
  readonly rbac: readonly NetworkRbac[];
  readonly terminal: HttpHolder | { readonly kind: "tcp"; readonly settings: TcpProxySettings };
}

export interface ListenerConfig {
  readonly message: Listener;
  /** The listener as its stats name it: `stat_prefix`, or its address as Envoy writes it there. */
  readonly statName: string;
  readonly address: StreamAddress;
  readonly binds: boolean;
  readonly useOriginalDestination: boolean;
  readonly restoresDestination: boolean;
  readonly transparent: boolean;
  readonly inspectsTls: boolean;
  readonly inspectsHttp: boolean;
  readonly inspectTimeoutMs: number;
  readonly continueOnTimeout: boolean;
  readonly match: FilterChains;
  readonly chains: readonly ChainRuntime[];
  readonly accessLogs: AccessLogs;
}

export type ListenContext = Omit<ManagerContext, "direction" | "tellsWhy" | "listenerName"> & {
  /** The node is a sidecar: what its outbound listeners accept is its own application. */
  readonly isSidecar: boolean;
};

const INSPECT_TIMEOUT_MS = 15_000;
const TCP_IDLE_TIMEOUT_MS = 3_600_000;
const HANDSHAKE_TIMEOUT_MS = 15_000;

export async function compileListener(message: Listener, context: ListenContext): Promise<ListenerConfig> {
  const kinds = message.listenerFilters.map(
    ({ configType }, i) => unpack(configType.case === "typedConfig" ? configType.value : undefined, `listener_filters[${i}].typed_config`).$typeName,
  );
  const match = compileFilterChains(message, "");
  const all = [...message.filterChains, ...(message.defaultFilterChain === undefined ? [] : [message.defaultFilterChain])];
  const direction =
    message.trafficDirection === TrafficDirection.INBOUND ? "inbound" : message.trafficDirection === TrafficDirection.OUTBOUND ? "outbound" : "unspecified";
  const tellsWhy = direction === "outbound" && context.isSidecar ? "always" : direction === "inbound" ? "identified" : "never";
  const address = addressOf(message);
  const statName = message.statPrefix === "" ? ("path" in address ? address.path : addressText(address)).replaceAll(":", "_") : message.statPrefix;
  const manager: ManagerContext = { ...context, direction, tellsWhy, listenerName: statName };
  const chains: ChainRuntime[] = [];
  for (const [i, chain] of all.entries()) {
    const path = i < message.filterChains.length ? `filter_chains[${i}]` : "default_filter_chain";
    chains.push(await compileChain(chain, { path, index: i, manager }));
  }
  if (chains.length === 0) throw new ConfigProblem("filter_chains", "is empty; a listener needs at least one chain");
  return {
    message,
    statName,
    address,
    binds: (message.bindToPort ?? message.deprecatedV1?.bindToPort) !== false,
    useOriginalDestination: message.useOriginalDst ?? false,
    restoresDestination: message.useOriginalDst === true || kinds.includes("envoy.extensions.filters.listener.original_dst.v3.OriginalDst"),
    transparent: message.transparent ?? false,
    inspectsTls: kinds.includes("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
    inspectsHttp: kinds.includes("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"),
    inspectTimeoutMs: durationMs(message.listenerFiltersTimeout) ?? INSPECT_TIMEOUT_MS,
    continueOnTimeout: message.continueOnListenerFiltersTimeout,
    match,
    chains,
    accessLogs: compileAccessLogs(message.accessLog, context.machine.accessLogs, "access_log"),
  };
}

const addressText = ({ ip, port }: SocketAddress): string => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

function addressOf(message: Listener): StreamAddress {
  const address = message.address?.address;
  if (address?.case === "pipe") return { path: address.value.path };
  if (address?.case !== "socketAddress") throw new ConfigProblem("address", "needs socket_address or pipe");
  if (address.value.protocol !== 0) throw new ConfigProblem("address.socket_address.protocol", `UDP: ${NOT_SUPPORTED}`);
  if (address.value.portSpecifier.case !== "portValue") throw new ConfigProblem("address.socket_address", "needs port_value");
  if (parseIp(address.value.address) === undefined)
    throw new ConfigProblem("address.socket_address.address", `"${address.value.address}" is not an IP address`);
  return { ip: address.value.address, port: address.value.portSpecifier.value };
}

async function compileChain(chain: FilterChain, { path, index, manager }: { path: string; index: number; manager: ManagerContext }): Promise<ChainRuntime> {
  const { machine } = manager;
  const rbac: NetworkRbac[] = [];
  let terminal: ChainRuntime["terminal"] | undefined;
  for (const [i, { configType }] of chain.filters.entries()) {
    const at = `${path}.filters[${i}].typed_config`;
    if (terminal !== undefined) throw new ConfigProblem(`${path}.filters[${i}]`, "comes after the filter that ends the chain");
    const config = unpack(configType.case === "typedConfig" ? configType.value : undefined, at);
    switch (config.$typeName) {
      case "envoy.extensions.filters.network.rbac.v3.RBAC": {
        const network = config as RBAC;
        const scope = machine.stats.networkRbac(network.statPrefix.replace(/\.$/, ""));
        rbac.push({ filter: compileRbacFilter(network, at), stats: new RbacStats(scope, "", network.shadowRulesStatPrefix) });
        break;
      }
      case "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager":
        terminal = { kind: "http", current: compileManager(config as HttpConnectionManager, at, manager), gone: false };
        break;
      case "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":
        terminal = { kind: "tcp", settings: compileTcpProxy(config as TcpProxy, at, manager) };
        break;
      default:
        throw new ConfigProblem(at, `${config.$typeName}: ${NOT_SUPPORTED}`);
    }
  }
  if (terminal === undefined) throw new ConfigProblem(`${path}.filters`, "has no filter that ends the chain; give http_connection_manager or tcp_proxy");
  return {
    key: chain.name === "" ? `#${index}` : chain.name,
    tls: await serverTls(chain, path, machine),
    handshakeTimeoutMs: durationMs(chain.transportSocketConnectTimeout) ?? HANDSHAKE_TIMEOUT_MS,
    rbac,
    terminal,
  };
}

async function serverTls(chain: FilterChain, path: string, machine: ManagerContext["machine"]): Promise<ServerTls | undefined> {
  const socket = chain.transportSocket;
  if (socket === undefined) return undefined;
  const at = `${path}.transport_socket.typed_config`;
  const config = unpack(socket.configType.case === "typedConfig" ? socket.configType.value : undefined, at);
  if (config.$typeName === "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") return undefined;
  if (config.$typeName === "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext") return ServerTls.make(config as DownstreamTlsContext, machine, at);
  throw new ConfigProblem(at, `${config.$typeName}: ${NOT_SUPPORTED}`);
}

function compileTcpProxy(config: TcpProxy, path: string, { machine, direction }: ManagerContext): TcpProxySettings {
  return {
    choose: tcpClusters(config, path),
    idleTimeoutMs: durationMs(config.idleTimeout) ?? TCP_IDLE_TIMEOUT_MS,
    maxConnectAttempts: config.maxConnectAttempts ?? 1,
    accessLogs: compileAccessLogs(config.accessLog, machine.accessLogs, `${path}.access_log`),
    stats: new TcpProxyStats(machine.stats.tcp(config.statPrefix)),
    direction,
  };
}

function tcpClusters(config: TcpProxy, path: string): (random: number) => string {
  const specifier = config.clusterSpecifier;
  if (specifier.case === "cluster") return () => specifier.value;
  if (specifier.case !== "weightedClusters") throw new ConfigProblem(path, "needs cluster or weighted_clusters");
  const { clusters } = specifier.value;
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return (random) => {
    let left = Math.floor(random * total);
    for (const { name, weight } of clusters) {
      left -= weight;
      if (left < 0) return name;
    }
    return clusters.at(-1)?.name ?? "";
  };
}
