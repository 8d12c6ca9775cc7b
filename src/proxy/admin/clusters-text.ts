/** /clusters in Envoy's text form and as envoy.admin.v3.Clusters. */
import { create, toJson } from "@bufbuild/protobuf";
import { ClustersSchema } from "#wire/envoy/gen/envoy/admin/v3/clusters_pb.ts";
import { SimpleMetric_Type } from "#wire/envoy/gen/envoy/admin/v3/metrics_pb.ts";
import { RoutingPriority } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { HealthStatus } from "#wire/envoy/gen/envoy/config/core/v3/health_check_pb.ts";
import type { ClusterRuntime } from "#proxy/upstream/cluster.ts";
import type { Endpoint } from "#proxy/upstream/endpoint.ts";

const metrics = (endpoint: Endpoint): readonly (readonly [string, number])[] => [
  ["cx_active", endpoint.cxActive],
  ["cx_connect_fail", endpoint.cxConnectFail],
  ["cx_total", endpoint.cxTotal],
  ["rq_active", endpoint.active],
  ["rq_error", endpoint.rqError],
  ["rq_pending_active", endpoint.pending],
  ["rq_success", endpoint.rqSuccess],
  ["rq_timeout", endpoint.rqTimeout],
  ["rq_total", endpoint.rqTotal],
];

const GAUGES = new Set(["cx_active", "rq_active", "rq_pending_active"]);

/** Envoy's defaults: no request has high priority here. */
const HIGH_PRIORITY = [
  ["max_connections", 1024],
  ["max_pending_requests", 1024],
  ["max_requests", 1024],
  ["max_retries", 3],
] as const;

export function clustersText(clusters: Iterable<ClusterRuntime>): string {
  const out: string[] = [];
  for (const cluster of clusters) {
    const { name, breakers, settings } = cluster;
    const limits = [
      ["max_connections", breakers.maxConnections],
      ["max_pending_requests", breakers.maxPending],
      ["max_requests", breakers.maxRequests],
      ["max_retries", breakers.maxRetries],
    ];
    out.push(`${name}::observability_name::${name}`);
    for (const [limit, value] of limits) out.push(`${name}::default_priority::${limit}::${value}`);
    for (const [limit, value] of HIGH_PRIORITY) out.push(`${name}::high_priority::${limit}::${value}`);
    out.push(`${name}::added_via_api::${String(settings.message.clusterDiscoveryType.value === 3)}`);
    for (const endpoint of cluster.endpoints) {
      const at = `${name}::${endpoint.settings.text}`;
      const { locality, priority } = endpoint.settings;
      for (const [metric, value] of metrics(endpoint)) out.push(`${at}::${metric}::${value}`);
      out.push(
        `${at}::hostname::${endpoint.settings.hostname}`,
        `${at}::health_flags::${endpoint.healthy ? "healthy" : "/failed_eds_health"}`,
        `${at}::weight::${Math.max(1, Math.round(endpoint.weight))}`,
        `${at}::region::${locality.region}`,
        `${at}::zone::${locality.zone}`,
        `${at}::sub_zone::${locality.subZone}`,
        `${at}::canary::false`,
        `${at}::priority::${priority}`,
        // Nothing ejects endpoints, so nobody keeps their success rates.
        `${at}::success_rate::-1`,
        `${at}::local_origin_success_rate::-1`,
      );
    }
  }
  return out.join("\n") + "\n";
}

export function clustersJson(clusters: Iterable<ClusterRuntime>): string {
  const message = create(ClustersSchema, {
    clusterStatuses: [...clusters].map((cluster) => ({
      name: cluster.name,
      observabilityName: cluster.name,
      circuitBreakers: {
        thresholds: [
          {
            maxConnections: cluster.breakers.maxConnections,
            maxPendingRequests: cluster.breakers.maxPending,
            maxRequests: cluster.breakers.maxRequests,
            maxRetries: cluster.breakers.maxRetries,
          },
          { priority: RoutingPriority.HIGH, maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 },
        ],
      },
      hostStatuses: [...cluster.endpoints].map((endpoint) => {
        const { address, locality, priority } = endpoint.settings;
        return {
          address:
            "path" in address
              ? { address: { case: "pipe" as const, value: { path: address.path } } }
              : {
                  address: {
                    case: "socketAddress" as const,
                    value: { address: address.ip, portSpecifier: { case: "portValue" as const, value: address.port } },
                  },
                },
          stats: metrics(endpoint).map(([name, value]) => ({
            name,
            value: BigInt(value),
            type: GAUGES.has(name) ? SimpleMetric_Type.GAUGE : SimpleMetric_Type.COUNTER,
          })),
          healthStatus: { edsHealthStatus: endpoint.healthy ? HealthStatus.HEALTHY : HealthStatus.UNHEALTHY },
          weight: Math.max(1, Math.round(endpoint.weight)),
          hostname: endpoint.settings.hostname,
          locality,
          priority,
        };
      }),
    })),
  });
  return JSON.stringify(toJson(ClustersSchema, message, { useProtoFieldName: true }));
}
