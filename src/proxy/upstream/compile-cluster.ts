/** envoy.config.cluster.v3.Cluster and its ClusterLoadAssignment -> settings of a cluster and its endpoints. */
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { RoutingPriority } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import type { BindConfig } from "#wire/envoy/gen/envoy/config/core/v3/address_pb.ts";
import { HealthStatus } from "#wire/envoy/gen/envoy/config/core/v3/health_check_pb.ts";
import type { TransportSocket } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import type { ClusterLoadAssignment } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { LbEndpoint, LocalityLbEndpoints } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { UpstreamTlsContext } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { HttpProtocolOptions } from "#wire/envoy/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { BalancePolicy } from "#decide/endpoint/endpoint.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { provenanceOf } from "#decide/provenance-of.ts";
import { durationMs } from "#proxy/config/durations.ts";
import { unpack } from "#proxy/config/unpack.ts";
import { ClientTls, type TlsMachine } from "#proxy/tls/tls-config.ts";
import type { AssignedEndpoint, ClusterSettings } from "./cluster.ts";

const SOL_SOCKET = 1n;
const SO_MARK = 36n;
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Envoy's defaults. */
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 3_600_000;
const BREAKER_DEFAULT = 1024;
const RETRIES_DEFAULT = 3;
const PANIC_DEFAULT = 0.5;

/** `speaksGrpc`: the cluster carries configuration, which the host's gRPC client fetches; only there may it be HTTP/2. */
export function compileCluster(cluster: Cluster, fallbackBind: BindConfig | undefined, speaksGrpc: boolean): ClusterSettings {
  const bind = cluster.upstreamBindConfig ?? fallbackBind;
  const thresholds = cluster.circuitBreakers?.thresholds.find(({ priority }) => priority === RoutingPriority.DEFAULT);
  const options = httpOptions(cluster);
  const explicit = options?.upstreamProtocolOptions;
  if (explicit?.case === "explicitHttpConfig" && explicit.value.protocolConfig.case === "http2ProtocolOptions" && !speaksGrpc)
    throw new ConfigProblem(`typed_extension_protocol_options["${HTTP_OPTIONS}"].explicit_http_config.http2_protocol_options`, NOT_SUPPORTED);
  const common = options?.commonHttpProtocolOptions ?? cluster.commonHttpProtocolOptions;
  const lb = cluster.lbConfig;
  return {
    name: cluster.name,
    message: cluster,
    policy: balancePolicy(cluster),
    panicThreshold: cluster.commonLbConfig?.healthyPanicThreshold === undefined ? PANIC_DEFAULT : cluster.commonLbConfig.healthyPanicThreshold.value / 100,
    breakers: {
      maxConnections: thresholds?.maxConnections ?? BREAKER_DEFAULT,
      maxPending: thresholds?.maxPendingRequests ?? BREAKER_DEFAULT,
      maxRequests: thresholds?.maxRequests ?? BREAKER_DEFAULT,
      maxRetries: thresholds?.maxRetries ?? RETRIES_DEFAULT,
    },
    connectTimeoutMs: durationMs(cluster.connectTimeout) ?? CONNECT_TIMEOUT_MS,
    idleTimeoutMs: durationMs(common?.idleTimeout) ?? IDLE_TIMEOUT_MS,
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? cluster.maxRequestsPerConnection ?? 0,
    mark: markOf(bind),
    sourceIp: sourceIpOf(bind),
    originalDestination: cluster.clusterDiscoveryType.case === "type" && cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.ORIGINAL_DST,
    portOverride: lb.case === "originalDstLbConfig" ? lb.value.upstreamPortOverride : undefined,
    by: provenanceOf(cluster.metadata),
  };
}

function httpOptions(cluster: Cluster): HttpProtocolOptions | undefined {
  const any = cluster.typedExtensionProtocolOptions[HTTP_OPTIONS];
  return any === undefined ? undefined : (unpack(any, `typed_extension_protocol_options["${HTTP_OPTIONS}"]`) as HttpProtocolOptions);
}

function balancePolicy(cluster: Cluster): BalancePolicy {
  switch (cluster.lbPolicy) {
    case Cluster_LbPolicy.ROUND_ROBIN:
    case Cluster_LbPolicy.CLUSTER_PROVIDED:
      return { kind: "round-robin" };
    case Cluster_LbPolicy.LEAST_REQUEST:
      return { kind: "least-request", choices: cluster.lbConfig.case === "leastRequestLbConfig" ? (cluster.lbConfig.value.choiceCount ?? 2) : 2 };
    case Cluster_LbPolicy.RANDOM:
      return { kind: "random" };
    default:
      throw new ConfigProblem("lb_policy", `${String(cluster.lbPolicy)}: ${NOT_SUPPORTED}; use ROUND_ROBIN, LEAST_REQUEST or RANDOM`);
  }
}

function markOf(bind: BindConfig | undefined): number | undefined {
  const option = bind?.socketOptions.find(({ level, name }) => level === SOL_SOCKET && name === SO_MARK);
  return option?.value.case === "intValue" ? Number(option.value.value) : undefined;
}

function sourceIpOf(bind: BindConfig | undefined): string | undefined {
  const ip = bind?.sourceAddress?.address;
  return ip === undefined || ip === "" || ip === "0.0.0.0" || ip === "::" ? undefined : ip;
}

/** A transport socket with the metadata that an endpoint must have to get it. */
export interface TransportChoice {
  readonly name: string;
  readonly match: Readonly<Record<string, unknown>> | undefined;
  readonly tls: ClientTls | undefined;
}

/** In order; the last one fits every endpoint. */
export async function compileTransports(cluster: Cluster, machine: TlsMachine): Promise<TransportChoice[]> {
  const choices: TransportChoice[] = [];
  for (const [i, one] of cluster.transportSocketMatches.entries()) {
    choices.push({
      name: one.name,
      match: one.match ?? {},
      tls: await clientTls(one.transportSocket, machine, `transport_socket_matches[${i}].transport_socket`),
    });
  }
  choices.push({ name: "", match: undefined, tls: await clientTls(cluster.transportSocket, machine, "transport_socket") });
  return choices;
}

async function clientTls(socket: TransportSocket | undefined, machine: TlsMachine, path: string): Promise<ClientTls | undefined> {
  if (socket === undefined) return undefined;
  const config = unpack(socket.configType.case === "typedConfig" ? socket.configType.value : undefined, `${path}.typed_config`);
  if (config.$typeName === "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") return undefined;
  if (config.$typeName === "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")
    return ClientTls.make(config as UpstreamTlsContext, machine, `${path}.typed_config`);
  throw new ConfigProblem(path, `${config.$typeName}: ${NOT_SUPPORTED}`);
}

/** Addresses of a name, by whoever can tell. */
export type Resolve = (name: string) => readonly string[];

export function compileAssignment(
  assignment: ClusterLoadAssignment | undefined,
  transports: readonly TransportChoice[],
  resolve: Resolve,
  byLocalityWeight: boolean,
): AssignedEndpoint[] {
  return (assignment?.endpoints ?? []).flatMap((locality) => {
    const total = locality.lbEndpoints.reduce((sum, one) => sum + (one.loadBalancingWeight ?? 1), 0);
    const scale = byLocalityWeight ? (locality.loadBalancingWeight ?? 0) / Math.max(1, total) : 1;
    return scale === 0
      ? []
      : locality.lbEndpoints.flatMap((one, i) => compileEndpoint(one, { locality, scale, transports, resolve, path: `endpoints.lb_endpoints[${i}]` }));
  });
}

function workloadOf(one: LbEndpoint): string | undefined {
  const workload = one.metadata?.filterMetadata["istio"]?.["workload"];
  return typeof workload === "string" ? workload : undefined;
}

interface EndpointContext {
  readonly locality: LocalityLbEndpoints;
  readonly scale: number;
  readonly transports: readonly TransportChoice[];
  readonly resolve: Resolve;
  readonly path: string;
}

function compileEndpoint(one: LbEndpoint, { locality, scale, transports, resolve, path }: EndpointContext): AssignedEndpoint[] {
  if (one.hostIdentifier.case !== "endpoint") throw new ConfigProblem(`${path}.endpoint_name`, NOT_SUPPORTED);
  const endpoint = one.hostIdentifier.value;
  const labels = one.metadata?.filterMetadata["envoy.transport_socket_match"] ?? locality.metadata?.filterMetadata["envoy.transport_socket_match"] ?? {};
  const transport = transports.find(({ match }) => match === undefined || Object.entries(match).every(([key, value]) => labels[key] === value));
  const healthStatus = one.healthStatus;
  const rest = {
    hostname: endpoint.hostname,
    tls: transport?.tls,
    transport: transport?.name ?? "",
    by: provenanceOf(one.metadata),
    workload: workloadOf(one),
    priority: locality.priority,
    locality: { region: locality.locality?.region ?? "", zone: locality.locality?.zone ?? "", subZone: locality.locality?.subZone ?? "" },
    weight: (one.loadBalancingWeight ?? 1) * scale,
    healthStatus,
    healthy: healthStatus === HealthStatus.UNKNOWN || healthStatus === HealthStatus.HEALTHY || healthStatus === HealthStatus.DEGRADED,
  };
  const address = endpoint.address?.address;
  if (address?.case === "pipe") return [{ ...rest, address: { path: address.value.path }, text: address.value.path }];
  if (address?.case !== "socketAddress") throw new ConfigProblem(`${path}.endpoint.address`, "needs socket_address or pipe");
  if (address.value.portSpecifier.case !== "portValue") throw new ConfigProblem(`${path}.endpoint.address.socket_address`, "needs port_value");
  const port = address.value.portSpecifier.value;
  return resolve(address.value.address).map((ip) => ({
    ...rest,
    hostname: rest.hostname === "" && ip !== address.value.address ? address.value.address : rest.hostname,
    address: { ip, port },
    text: ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`,
  }));
}
