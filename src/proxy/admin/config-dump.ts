/** /config_dump: what is at work, as envoy.admin.v3.ConfigDump. Private keys are never shown. */
import { create, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Any, anyPack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { ConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import { BootstrapConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import {
  ClustersConfigDumpSchema,
  EndpointsConfigDumpSchema,
  ListenersConfigDumpSchema,
  RoutesConfigDumpSchema,
} from "#wire/envoy/gen/envoy/admin/v3/config_dump_shared_pb.ts";
import { SecretsConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import { type Bootstrap, BootstrapSchema } from "#wire/envoy/gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { ClusterSchema } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { type Secret, SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import type { Accepted, ConfigStore } from "#proxy/config/config-store.ts";
import type { Secrets } from "#proxy/tls/secrets.ts";

export interface DumpSources {
  readonly bootstrap: Bootstrap;
  readonly store: ConfigStore;
  readonly secrets: Secrets;
  readonly startedMs: number;
}

export function configDump({ bootstrap, store, secrets, startedMs }: DumpSources): string {
  const packed = <M extends Message>(
    schema: DescMessage,
    accepted: Accepted<M>,
  ): { versionInfo: string; lastUpdated: ReturnType<typeof timestampFromMs>; any: Any } => ({
    versionInfo: accepted.version,
    lastUpdated: timestampFromMs(accepted.updatedMs),
    any: anyPack(schema, accepted.message),
  });
  const split = <M extends Message>(all: ReadonlyMap<string, Accepted<M>>): [Accepted<M>[], Accepted<M>[]] => [
    [...all.values()].filter((one) => one.isStatic),
    [...all.values()].filter((one) => !one.isStatic),
  ];
  const [staticClusters, dynamicClusters] = split(store.clusters);
  const [staticListeners, dynamicListeners] = split(store.listeners);
  const clusterOf = (accepted: (typeof staticClusters)[number]) => {
    const { any, ...rest } = packed(ClusterSchema, accepted);
    return { ...rest, cluster: any };
  };
  const listenerOf = (accepted: (typeof staticListeners)[number]) => {
    const { any, ...rest } = packed(ListenerSchema, accepted);
    return { ...rest, listener: any };
  };
  const routeOf = (accepted: Accepted<Message>) => {
    const { any, ...rest } = packed(RouteConfigurationSchema, accepted);
    return { ...rest, routeConfig: any };
  };
  const inline = store
    .allListeners()
    .flatMap(({ config }) =>
      config.chains.flatMap(({ terminal }) =>
        terminal.kind === "http" && terminal.current.routes.current !== undefined && !store.routes.has(terminal.current.routes.name)
          ? [terminal.current.routes.current.message]
          : [],
      ),
    );
  const dump = create(ConfigDumpSchema, {
    configs: [
      anyPack(BootstrapConfigDumpSchema, create(BootstrapConfigDumpSchema, { bootstrap: withoutKeys(bootstrap), lastUpdated: timestampFromMs(startedMs) })),
      anyPack(
        ClustersConfigDumpSchema,
        create(ClustersConfigDumpSchema, { staticClusters: staticClusters.map(clusterOf), dynamicActiveClusters: dynamicClusters.map(clusterOf) }),
      ),
      anyPack(
        ListenersConfigDumpSchema,
        create(ListenersConfigDumpSchema, {
          staticListeners: staticListeners.map(listenerOf),
          dynamicListeners: dynamicListeners.map((accepted) => ({ name: accepted.message.name, activeState: listenerOf(accepted) })),
        }),
      ),
      anyPack(
        RoutesConfigDumpSchema,
        create(RoutesConfigDumpSchema, {
          staticRouteConfigs: inline.map((message) => ({ routeConfig: anyPack(RouteConfigurationSchema, message), lastUpdated: timestampFromMs(startedMs) })),
          dynamicRouteConfigs: [...store.routes.values()].map(routeOf),
        }),
      ),
      anyPack(
        EndpointsConfigDumpSchema,
        create(EndpointsConfigDumpSchema, {
          dynamicEndpointConfigs: [...store.endpoints.values()].map((accepted) => {
            const { any, ...rest } = packed(ClusterLoadAssignmentSchema, accepted);
            return { ...rest, endpointConfig: any };
          }),
        }),
      ),
      anyPack(
        SecretsConfigDumpSchema,
        create(SecretsConfigDumpSchema, {
          dynamicActiveSecrets: [...secrets.messages.values()].map((secret) => ({ name: secret.name, secret: anyPack(SecretSchema, withoutKey(secret)) })),
        }),
      ),
    ],
  });
  return JSON.stringify(toJson(ConfigDumpSchema, dump, { registry: envoyRegistry, useProtoFieldName: true }) as JsonValue, undefined, 1);
}

const REDACTED = { specifier: { case: "inlineString", value: "[redacted]" } } as const;

function withoutKey(secret: Secret): Secret {
  if (secret.type.case !== "tlsCertificate") return secret;
  return create(SecretSchema, {
    name: secret.name,
    type: { case: "tlsCertificate", value: { certificateChain: secret.type.value.certificateChain ?? {}, privateKey: REDACTED } },
  });
}

function withoutKeys(bootstrap: Bootstrap): Bootstrap {
  const { staticResources } = bootstrap;
  if (staticResources === undefined || staticResources.secrets.length === 0) return bootstrap;
  return create(BootstrapSchema, { ...bootstrap, staticResources: { ...staticResources, secrets: staticResources.secrets.map(withoutKey) } });
}
