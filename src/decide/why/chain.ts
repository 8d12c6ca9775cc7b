/** What a filter chain does with a connection: its filters, as far as they decide. */
import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { FilterChain } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import type { RBAC } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { RBACSchema as HttpRbacSchema } from "#wire/envoy/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "#wire/envoy/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  HttpConnectionManagerSchema,
  type HttpConnectionManager,
} from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "#wire/envoy/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { TcpProxySchema } from "#wire/envoy/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { compileFilterChains, NO_CHAIN } from "#decide/filter-chain/filter-chain.ts";
import { provenanceOf } from "#decide/provenance-of.ts";
import type { ConnectionView } from "#decide/request-view.ts";
import type { PlanView } from "./plan-view.ts";

export interface Chain {
  readonly name: string;
  readonly by: string | undefined;
  /** The port of a Service that it stands for. */
  readonly port: string | undefined;
  readonly usesTls: boolean;
  /** Of the connection: decided before a byte of a request is read. */
  readonly networkRbac: readonly RBAC[];
  readonly end: ChainEnd;
}

export type ChainEnd =
  | HttpEnd
  | { readonly kind: "tcp"; readonly cluster: string }
  /** Filters that this code does not know. */
  | { readonly kind: "unknown"; readonly filters: readonly string[] };

export interface HttpEnd {
  readonly kind: "http";
  readonly routes: RouteConfiguration | undefined;
  readonly routesName: string;
  /** In order; each sees the request. */
  readonly rbac: readonly RBAC[];
  readonly manager: HttpConnectionManager;
}

/** undefined: no chain takes the connection, so it is closed. */
export function chainFor(listener: Listener, connection: ConnectionView, view: PlanView): Chain | undefined {
  const chains = compileFilterChains(listener, `listener "${listener.name}"`);
  const index = chains.match(connection);
  const all = [...listener.filterChains, ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain])];
  const chain = index === NO_CHAIN ? undefined : all[index];
  return chain === undefined ? undefined : readChain(chain, view);
}

function readChain(chain: FilterChain, view: PlanView): Chain {
  const networkRbac: RBAC[] = [];
  let end: ChainEnd = { kind: "unknown", filters: chain.filters.map(({ name }) => name) };
  for (const { configType, name } of chain.filters) {
    const config = configType.case === "typedConfig" ? configType.value : undefined;
    const network = unpack(config, NetworkRbacSchema);
    const tcp = unpack(config, TcpProxySchema);
    const http = unpack(config, HttpConnectionManagerSchema);
    if (network?.rules !== undefined) networkRbac.push(network.rules);
    else if (tcp?.clusterSpecifier.case === "cluster") end = { kind: "tcp", cluster: tcp.clusterSpecifier.value };
    else if (http !== undefined) end = httpEnd(http, view);
    else return { ...described(chain), networkRbac, end: { kind: "unknown", filters: [name] } };
  }
  return { ...described(chain), networkRbac, end };
}

function described(chain: FilterChain): Pick<Chain, "name" | "by" | "port" | "usesTls"> {
  const port = chain.metadata?.filterMetadata["weft.dev"]?.["port"];
  return {
    name: chain.name,
    by: provenanceOf(chain.metadata),
    port: typeof port === "string" ? port : undefined,
    usesTls: chain.transportSocket?.name === "envoy.transport_sockets.tls",
  };
}

function httpEnd(manager: HttpConnectionManager, view: PlanView): ChainEnd {
  const rbac: RBAC[] = [];
  for (const { configType, name } of manager.httpFilters) {
    const config = configType.case === "typedConfig" ? configType.value : undefined;
    const rules = unpack(config, HttpRbacSchema)?.rules;
    if (rules !== undefined) rbac.push(rules);
    else if (unpack(config, RouterSchema) === undefined) return { kind: "unknown", filters: [name] };
  }
  const { routeSpecifier } = manager;
  if (routeSpecifier.case === "routeConfig") return { kind: "http", routes: routeSpecifier.value, routesName: routeSpecifier.value.name, rbac, manager };
  const name = routeSpecifier.case === "rds" ? routeSpecifier.value.routeConfigName : "";
  return { kind: "http", routes: view.routes(name), routesName: name, rbac, manager };
}

function unpack<D extends DescMessage>(config: Any | undefined, schema: D): MessageShape<D> | undefined {
  return config === undefined ? undefined : anyUnpack(config, schema);
}
