/** Which xDS streams a bootstrap asks for, and what of the configuration store each type fills. */
import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Bootstrap } from "#wire/envoy/gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { ClusterSchema } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type ApiConfigSource, ApiConfigSource_ApiType, type ConfigSource } from "#wire/envoy/gen/envoy/config/core/v3/config_source_pb.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import type { ConfigStore } from "#proxy/config/config-store.ts";
import type { XdsType } from "./delta-client.ts";

const NONE: ReadonlySet<string> = new Set();

function decode<D extends DescMessage>(schema: D, any: Any, name: (message: MessageShape<D>) => string): { message: MessageShape<D>; name: string } {
  const message = anyUnpack(any, schema);
  if (message === undefined) throw new ConfigProblem("", `${any.typeUrl} where ${schema.typeName} belongs`);
  return { message, name: name(message) };
}

const typeUrl = (schema: DescMessage): string => `type.googleapis.com/${schema.typeName}`;

/** Clusters before endpoints, listeners before routes; secrets whenever something asked for one. */
export function aggregatedTypes(store: ConfigStore, secretNames: ReadonlySet<string>): XdsType[] {
  const ignore = (): void => undefined;
  return [
    {
      typeUrl: typeUrl(ClusterSchema),
      wildcard: true,
      names: () => NONE,
      set: (any, version) => store.setCluster(decode(ClusterSchema, any, ({ name }) => name).message, version),
      remove: (name) => store.removeCluster(name),
    },
    {
      typeUrl: typeUrl(ClusterLoadAssignmentSchema),
      wildcard: false,
      names: () => store.endpointNames(),
      set: (any, version) => store.setAssignment(decode(ClusterLoadAssignmentSchema, any, ({ clusterName }) => clusterName).message, version),
      remove: ignore,
    },
    {
      typeUrl: typeUrl(ListenerSchema),
      wildcard: true,
      names: () => NONE,
      set: (any, version) => store.setListener(decode(ListenerSchema, any, ({ name }) => name).message, version),
      remove: (name) => store.removeListener(name),
    },
    {
      typeUrl: typeUrl(RouteConfigurationSchema),
      wildcard: false,
      names: () => store.routeNames(),
      set: (any, version) => store.setRoutes(decode(RouteConfigurationSchema, any, ({ name }) => name).message, version),
      remove: ignore,
    },
    secretType(store, secretNames),
  ];
}

export function secretType(store: ConfigStore, names: ReadonlySet<string>): XdsType {
  return {
    typeUrl: typeUrl(SecretSchema),
    wildcard: false,
    names: () => names,
    set: (any) => store.setSecret(decode(SecretSchema, any, ({ name }) => name).message),
    remove: () => undefined,
  };
}

/** The cluster that carries the source's gRPC. Only delta gRPC to a cluster of the bootstrap is spoken. */
export function grpcCluster(source: ApiConfigSource, path: string): string {
  if (source.apiType !== ApiConfigSource_ApiType.DELTA_GRPC && source.apiType !== ApiConfigSource_ApiType.AGGREGATED_DELTA_GRPC)
    throw new ConfigProblem(
      `${path}.api_type`,
      `${ApiConfigSource_ApiType[source.apiType as unknown as keyof typeof ApiConfigSource_ApiType] ?? source.apiType}: ${NOT_SUPPORTED}; use DELTA_GRPC`,
    );
  const service = source.grpcServices[0]?.targetSpecifier;
  if (service?.case !== "envoyGrpc") throw new ConfigProblem(`${path}.grpc_services`, "needs envoy_grpc with a cluster_name");
  return service.value.clusterName;
}

export function adsCluster(bootstrap: Bootstrap): string | undefined {
  const dynamic = bootstrap.dynamicResources;
  if (dynamic === undefined) return undefined;
  for (const [name, source] of [
    ["lds_config", dynamic.ldsConfig],
    ["cds_config", dynamic.cdsConfig],
  ] as const)
    requireAds(source, `dynamic_resources.${name}`);
  return dynamic.adsConfig === undefined ? undefined : grpcCluster(dynamic.adsConfig, "dynamic_resources.ads_config");
}

function requireAds(source: ConfigSource | undefined, path: string): void {
  if (source !== undefined && source.configSourceSpecifier.case !== "ads")
    throw new ConfigProblem(path, `${source.configSourceSpecifier.case ?? "an empty source"}: ${NOT_SUPPORTED}; use ads: {}`);
}
