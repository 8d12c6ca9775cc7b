/** /config_dump: what is at work, as envoy.admin.v3.ConfigDump. Private keys are never shown. */
import { create, toJson } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Any, anyPack, anyUnpack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Message } from "@bufbuild/protobuf";
import { ConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import { BootstrapConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import {
  ClustersConfigDumpSchema,
  EndpointsConfigDumpSchema,
  ListenersConfigDumpSchema,
  RoutesConfigDumpSchema,
  ScopedRoutesConfigDumpSchema,
} from "#wire/envoy/gen/envoy/admin/v3/config_dump_shared_pb.ts";
import { SecretsConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import { type Bootstrap, BootstrapSchema } from "#wire/envoy/gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { type Cluster, ClusterSchema } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { type Listener, ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
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

export interface DumpQuery {
  /** A field of one of the dumps: "static_clusters", "dynamic_listeners". */
  readonly resource: string | undefined;
  readonly includeEndpoints: boolean;
}

export function configDump(sources: DumpSources, { resource, includeEndpoints }: DumpQuery): string {
  const scoped = anyPack(ScopedRoutesConfigDumpSchema, create(ScopedRoutesConfigDumpSchema));
  const all = [
    bootstrapDump(sources),
    clustersDump(sources),
    ...(includeEndpoints ? [endpointsDump(sources)] : []),
    listenersDump(sources),
    scoped,
    routesDump(sources),
    secretsDump(sources),
  ];
  const dump = create(ConfigDumpSchema, { configs: resource === undefined ? all : all.flatMap((section) => itemsOf(section, resource)) });
  return JSON.stringify(toJson(ConfigDumpSchema, dump, { registry: envoyRegistry, useProtoFieldName: true }), undefined, 1);
}

/** The items of a section's list of that name, each by itself. */
function itemsOf(section: Any, resource: string): Any[] {
  const message = anyUnpack(section, envoyRegistry);
  const schema = message === undefined ? undefined : envoyRegistry.getMessage(message.$typeName);
  const field = schema?.fields.find(({ name }) => name === resource);
  if (message === undefined || schema === undefined || field?.fieldKind !== "list" || field.listKind !== "message") return [];
  return [...reflect(schema, message).get(field)].map((item) => anyPack(field.message, (item as ReflectMessage).message));
}

/** What every entry of a dump says: which version, since when. */
const facts = ({ version, updatedMs }: Accepted<Message>) => ({ versionInfo: version, lastUpdated: timestampFromMs(updatedMs) });

function split<M>(all: ReadonlyMap<string, Accepted<M>>): [Accepted<M>[], Accepted<M>[]] {
  return [[...all.values()].filter((one) => one.isStatic), [...all.values()].filter((one) => !one.isStatic)];
}

function bootstrapDump({ bootstrap, startedMs }: DumpSources): Any {
  return anyPack(BootstrapConfigDumpSchema, create(BootstrapConfigDumpSchema, { bootstrap: withoutKeys(bootstrap), lastUpdated: timestampFromMs(startedMs) }));
}

function clustersDump({ store }: DumpSources): Any {
  const [fixed, dynamic] = split(store.clusters);
  const entry = (one: Accepted<Cluster>) => ({ ...facts(one), cluster: anyPack(ClusterSchema, one.message) });
  return anyPack(ClustersConfigDumpSchema, create(ClustersConfigDumpSchema, { staticClusters: fixed.map(entry), dynamicActiveClusters: dynamic.map(entry) }));
}

function listenersDump({ store }: DumpSources): Any {
  const [fixed, dynamic] = split(store.listeners);
  const entry = (one: Accepted<Listener>) => ({ ...facts(one), listener: anyPack(ListenerSchema, one.message) });
  return anyPack(
    ListenersConfigDumpSchema,
    create(ListenersConfigDumpSchema, {
      staticListeners: fixed.map(entry),
      dynamicListeners: dynamic.map((one) => ({ name: one.message.name, activeState: entry(one) })),
    }),
  );
}

function routesDump({ store, startedMs }: DumpSources): Any {
  const terminals = store.allListeners().flatMap(({ config }) => config.chains.map(({ terminal }) => terminal));
  const inline = terminals.flatMap((terminal) =>
    terminal.kind === "http" && terminal.current.routes.current !== undefined && !store.routes.has(terminal.current.routes.name)
      ? [terminal.current.routes.current.message]
      : [],
  );
  return anyPack(
    RoutesConfigDumpSchema,
    create(RoutesConfigDumpSchema, {
      staticRouteConfigs: inline.map((message) => ({ routeConfig: anyPack(RouteConfigurationSchema, message), lastUpdated: timestampFromMs(startedMs) })),
      dynamicRouteConfigs: [...store.routes.values()].map((one) => ({ ...facts(one), routeConfig: anyPack(RouteConfigurationSchema, one.message) })),
    }),
  );
}

function endpointsDump({ store }: DumpSources): Any {
  return anyPack(
    EndpointsConfigDumpSchema,
    create(EndpointsConfigDumpSchema, {
      dynamicEndpointConfigs: [...store.endpoints.values()].map((one) => ({
        ...facts(one),
        endpointConfig: anyPack(ClusterLoadAssignmentSchema, one.message),
      })),
    }),
  );
}

function secretsDump({ secrets }: DumpSources): Any {
  return anyPack(
    SecretsConfigDumpSchema,
    create(SecretsConfigDumpSchema, {
      dynamicActiveSecrets: [...secrets.messages.values()].map((secret) => ({ name: secret.name, secret: anyPack(SecretSchema, withoutKey(secret)) })),
    }),
  );
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
