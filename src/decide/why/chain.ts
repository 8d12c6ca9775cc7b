/** What a filter chain does with a connection: its filters, as far as they decide. */
import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { FilterChain } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import type { RBAC } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { RBACSchema as HttpRbacSchema } from "#wire/envoy/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { HttpConnectionManagerSchema } from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "#wire/envoy/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { TcpProxySchema } from "#wire/envoy/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { compileFilterChains, NO_CHAIN } from "#decide/filter-chain/filter-chain.ts";
import type { ConnectionView } from "#decide/request-view.ts";
import type { PlanView } from "./plan-view.ts";

export interface Chain {
  readonly name: string;
  readonly by: string | undefined;
  readonly usesTls: boolean;
  /** In order; those of HTTP chains see requests. */
  readonly rbac: readonly RBAC[];
  readonly end: ChainEnd;
}

export type ChainEnd =
  | { readonly kind: "http"; readonly routes: RouteConfiguration | undefined; readonly routesName: string }
  | { readonly kind: "tcp"; readonly cluster: string }
  /** Filters that this code does not know. */
  | { readonly kind: "unknown"; readonly filters: readonly string[] };

/** undefined: no chain takes the connection, so it is closed. */
export function chainFor(listener: Listener, connection: ConnectionView, view: PlanView): Chain | undefined {
  const chains = compileFilterChains(listener, `listener "${listener.name}"`);
  const index = chains.match(connection);
  const all = [...listener.filterChains, ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain])];
  const chain = index === NO_CHAIN ? undefined : all[index];
  return chain === undefined ? undefined : readChain(chain, chains.chains[index]?.by, view);
}

function readChain(chain: FilterChain, by: string | undefined, view: PlanView): Chain {
  const rbac: RBAC[] = [];
  let end: ChainEnd = { kind: "unknown", filters: chain.filters.map(({ name }) => name) };
  for (const { configType } of chain.filters) {
    const config = configType.case === "typedConfig" ? configType.value : undefined;
    const network = unpack(config, NetworkRbacSchema);
    if (network?.rules !== undefined) rbac.push(network.rules);
    const tcp = unpack(config, TcpProxySchema);
    if (tcp?.clusterSpecifier.case === "cluster") end = { kind: "tcp", cluster: tcp.clusterSpecifier.value };
    const http = unpack(config, HttpConnectionManagerSchema);
    if (http === undefined) continue;
    for (const filter of http.httpFilters) {
      const rules = filter.configType.case === "typedConfig" ? unpack(filter.configType.value, HttpRbacSchema)?.rules : undefined;
      if (rules !== undefined) rbac.push(rules);
    }
    const { routeSpecifier } = http;
    if (routeSpecifier.case === "routeConfig") end = { kind: "http", routes: routeSpecifier.value, routesName: routeSpecifier.value.name };
    else if (routeSpecifier.case === "rds") {
      const name = routeSpecifier.value.routeConfigName;
      end = { kind: "http", routes: view.routes(name), routesName: name };
    }
  }
  return { name: chain.name, by, usesTls: chain.transportSocket?.name === "envoy.transport_sockets.tls", rbac, end };
}

function unpack<D extends DescMessage>(config: Any | undefined, schema: D): MessageShape<D> | undefined {
  return config === undefined ? undefined : anyUnpack(config, schema);
}
