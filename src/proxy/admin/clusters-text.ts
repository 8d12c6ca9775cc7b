/** /clusters in Envoy's text form and as envoy.admin.v3.Clusters. */
import { create, toJson } from "@bufbuild/protobuf";
import { ClustersSchema } from "#wire/envoy/gen/envoy/admin/v3/clusters_pb.ts";
import { SimpleMetric_Type } from "#wire/envoy/gen/envoy/admin/v3/metrics_pb.ts";
import { HealthStatus } from "#wire/envoy/gen/envoy/config/core/v3/health_check_pb.ts";
import type { ClusterRuntime } from "#proxy/upstream/cluster.ts";
import type { Endpoint } from "#proxy/upstream/endpoint.ts";

const metrics = (endpoint: Endpoint): readonly (readonly [string, number])[] => [
  ["cx_active", endpoint.cxActive],
  ["cx_connect_fail", endpoint.cxConnectFail],
  ["cx_total", endpoint.cxTotal],
  ["rq_active", endpoint.active],
  ["rq_error", endpoint.rqError],
  ["rq_success", endpoint.rqSuccess],
  ["rq_total", endpoint.rqTotal],
];

const GAUGES = new Set(["cx_active", "rq_active"]);

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
    out.push(`${name}::added_via_api::${String(settings.message.clusterDiscoveryType.value === 3)}`);
    for (const endpoint of cluster.endpoints) {
      const at = `${name}::${endpoint.settings.text}`;
      for (const [metric, value] of metrics(endpoint)) out.push(`${at}::${metric}::${value}`);
      out.push(
        `${at}::hostname::${endpoint.settings.hostname}`,
        `${at}::health_flags::${endpoint.healthy ? "healthy" : "/failed_eds_health"}`,
        `${at}::weight::${endpoint.weight}`,
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
      hostStatuses: [...cluster.endpoints].map((endpoint) => {
        const { address } = endpoint.settings;
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
        };
      }),
    })),
  });
  return JSON.stringify(toJson(ClustersSchema, message, { useProtoFieldName: true }));
}
