/** A mesh that never stays as it is: clusters, their endpoints and one route configuration, changed at random by a seed. */
import { fromJson, toBinary, type DescMessage, type JsonObject } from "@bufbuild/protobuf";
import { createHash } from "node:crypto";
import { ClusterSchema } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { type EncodedResource, type ProxyPlan, type ProxyPlans, XDS_TYPES } from "#model/plan/proxy-plan.ts";

interface Backend {
  readonly port: number;
  readonly weight: number;
}

interface ClusterState {
  endpoints: readonly Backend[];
  /** Something that only makes it another cluster. */
  pending: number;
}

export class ChangingPlan implements ProxyPlans {
  readonly #ports: readonly number[];
  readonly #random: () => number;
  readonly #listeners = new Set<() => void>();
  readonly #clusters = new Map<string, ClusterState>();
  #routed: { readonly cluster: string; readonly weight: number }[] = [];
  #made = 0;
  #plan: ProxyPlan | undefined;
  /** Number of the route configuration; each answer bears it as x-config. */
  configuration = 0;

  constructor(ports: readonly number[], random: () => number) {
    this.#ports = ports;
    this.#random = random;
    this.#routed = [{ cluster: this.#newCluster(), weight: 1 }];
    this.configuration++;
  }

  planOf(): ProxyPlan {
    return (this.#plan ??= this.#encode());
  }

  onChange(changed: () => void): { close(): void } {
    this.#listeners.add(changed);
    return { close: () => void this.#listeners.delete(changed) };
  }

  /** One change, told to the server at once. Says what it was. */
  change(): string {
    const steps = [
      () => this.#route("a route to other clusters"),
      () => this.#newEndpoints(),
      () => this.#otherSettings(),
      () => (this.#clusters.size < 6 ? this.#newRoutedCluster() : this.#dropCluster()),
      () => (this.#clusters.size > 2 ? this.#dropCluster() : this.#newRoutedCluster()),
    ];
    const what = steps[this.#below(steps.length)]?.() ?? "";
    this.#tell();
    return what;
  }

  /** What must not be done: the cluster goes while the route still leads there. */
  breakBeforeMake(): void {
    for (const { cluster } of this.#routed) this.#clusters.delete(cluster);
    this.#tell();
    this.#newCluster();
    this.#route("a route that comes too late");
    this.#tell();
  }

  #tell(): void {
    this.#plan = undefined;
    for (const changed of this.#listeners) changed();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #someEndpoints(): Backend[] {
    const ports = this.#ports.filter(() => this.#random() < 0.5);
    const chosen = ports.length > 0 ? ports : [this.#ports[this.#below(this.#ports.length)] ?? 0];
    return chosen.map((port) => ({ port, weight: 1 + this.#below(3) }));
  }

  #newCluster(): string {
    const name = `shop-${++this.#made}`;
    this.#clusters.set(name, { endpoints: this.#someEndpoints(), pending: 1024 });
    return name;
  }

  #route(what: string, among: readonly string[] = [...this.#clusters.keys()]): string {
    const chosen = among.filter(() => this.#random() < 0.5);
    this.#routed = (chosen.length > 0 ? chosen : among.slice(0, 1)).map((cluster) => ({ cluster, weight: 1 + this.#below(9) }));
    this.configuration++;
    return what;
  }

  #newRoutedCluster(): string {
    return this.#route("a new cluster with all traffic", [this.#newCluster()]);
  }

  #dropCluster(): string {
    const name = [...this.#clusters.keys()][this.#below(this.#clusters.size)] ?? "";
    const others = [...this.#clusters.keys()].filter((other) => other !== name);
    this.#clusters.delete(name);
    return this.#routed.some(({ cluster }) => cluster === name) ? this.#route("a cluster gone with its route", others) : "a cluster gone";
  }

  #newEndpoints(): string {
    for (const cluster of this.#clusters.values()) if (this.#random() < 0.7) cluster.endpoints = this.#someEndpoints();
    return "other endpoints";
  }

  #otherSettings(): string {
    for (const cluster of this.#clusters.values()) if (this.#random() < 0.7) cluster.pending = 1000 + this.#below(1000);
    return "other settings of clusters";
  }

  #encode(): ProxyPlan {
    const names = [...this.#clusters];
    const clusters = names.map(([name, { pending }]) => clusterJson(name, pending));
    const endpoints = names.map(([name, state]) => endpointsJson(name, state.endpoints));
    return {
      resources: new Map([
        [XDS_TYPES.cluster, encoded(ClusterSchema, clusters, "name")],
        [XDS_TYPES.endpoints, encoded(ClusterLoadAssignmentSchema, endpoints, "clusterName")],
        [XDS_TYPES.listener, encoded(ListenerSchema, [listenerJson()], "name")],
        [XDS_TYPES.routes, encoded(RouteConfigurationSchema, [routesJson(this.#routed, this.configuration)], "name")],
      ]),
    };
  }
}

function encoded(schema: DescMessage, messages: readonly JsonObject[], nameField: "name" | "clusterName"): Map<string, EncodedResource> {
  return new Map(
    messages.map((json) => {
      const bytes = toBinary(schema, fromJson(schema, json, { registry: envoyRegistry }));
      const name = json[nameField];
      if (typeof name !== "string") throw new TypeError(`${schema.typeName} without ${nameField}`);
      return [name, { name, bytes, version: createHash("sha256").update(bytes).digest("hex") }];
    }),
  );
}

function clusterJson(name: string, maxPendingRequests: number): JsonObject {
  return {
    name,
    type: "EDS",
    edsClusterConfig: { edsConfig: { ads: {} } },
    connectTimeout: "10s",
    circuitBreakers: { thresholds: [{ maxPendingRequests, maxRequests: 4096, maxConnections: 4096 }] },
  };
}

function endpointsJson(clusterName: string, endpoints: readonly Backend[]): JsonObject {
  const address = (port: number): JsonObject => ({ socketAddress: { address: "127.0.0.1", portValue: port } });
  const lbEndpoints = endpoints.map(({ port, weight }) => ({ endpoint: { address: address(port) }, loadBalancingWeight: weight }));
  return { clusterName, endpoints: [{ lbEndpoints }] };
}

function routesJson(clusters: readonly { readonly cluster: string; readonly weight: number }[], configuration: number): JsonObject {
  const weightedClusters = { clusters: clusters.map(({ cluster, weight }) => ({ name: cluster, weight })) };
  return {
    name: "shop",
    virtualHosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { weightedClusters, timeout: "120s" } }] }],
    responseHeadersToAdd: [{ header: { key: "x-config", value: String(configuration) } }],
  };
}

function listenerJson(): JsonObject {
  const type = (name: string): string => `type.googleapis.com/envoy.extensions.filters.${name}`;
  const manager = {
    "@type": type("network.http_connection_manager.v3.HttpConnectionManager"),
    statPrefix: "shop",
    rds: { routeConfigName: "shop", configSource: { ads: {} } },
    httpFilters: [{ name: "router", typedConfig: { "@type": type("http.router.v3.Router") } }],
  };
  return {
    name: "shop",
    address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
    filterChains: [{ filters: [{ name: "http", typedConfig: manager }] }],
  };
}
