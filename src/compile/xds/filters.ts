/** Network filters: the HTTP connection manager and the TCP proxy, with authorization before them where there is any. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FilterSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { RBACSchema as HttpRbacSchema } from "#wire/envoy/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "#wire/envoy/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  HttpConnectionManagerSchema,
  type HttpFilterSchema,
} from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "#wire/envoy/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { TcpProxySchema } from "#wire/envoy/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { Authorization, AuthorizationRule } from "#compile/mesh/authorization.ts";
import { accessLog } from "./access-log.ts";
import { ads, extension } from "./message.ts";
import { rbac } from "./rbac.ts";

type Filter = MessageInitShape<typeof FilterSchema>;
type HttpFilter = MessageInitShape<typeof HttpFilterSchema>;

/** Nothing denied, nothing demanded. */
export const noAuthorization: Authorization = { deny: [], allow: undefined };

export type Routes = { readonly rds: string } | { readonly inline: RouteConfiguration };

export interface HttpFacts {
  readonly statPrefix: string;
  readonly routes: Routes;
  readonly authorization: Authorization;
  /** The client's address is the connection's own: what X-Forwarded-For claims is not believed. */
  readonly isEdge: boolean;
}

/** Paths are normalized before anything decides on them: a policy for /admin must see /x/../admin. */
export function httpConnectionManager({ statPrefix, routes, authorization, isEdge }: HttpFacts): Filter {
  return extension("envoy.filters.network.http_connection_manager", HttpConnectionManagerSchema, {
    statPrefix,
    routeSpecifier:
      "rds" in routes ? { case: "rds", value: { configSource: ads(), routeConfigName: routes.rds } } : { case: "routeConfig", value: routes.inline },
    httpFilters: [...httpRbac(authorization), extension("envoy.filters.http.router", RouterSchema, {})],
    accessLog: [...accessLog()],
    normalizePath: true,
    // As Istio: an application that answers 101 speaks another protocol from then on, whether a route leads there or not.
    upgradeConfigs: [{ upgradeType: "websocket" }],
    ...(isEdge ? { useRemoteAddress: true } : {}),
  });
}

/** Denials come first: what one forbids no ALLOW rule permits. */
function httpRbac({ deny, allow }: Authorization): HttpFilter[] {
  const filter = (action: "ALLOW" | "DENY", rules: readonly AuthorizationRule[]) =>
    extension("envoy.filters.http.rbac", HttpRbacSchema, { rules: rbac(action, rules) });
  return [...(deny.length > 0 ? [filter("DENY", deny)] : []), ...(allow === undefined ? [] : [filter("ALLOW", allow)])];
}

export function networkRbac({ deny, allow }: Authorization, statPrefix: string): Filter[] {
  const filter = (action: "ALLOW" | "DENY", rules: readonly AuthorizationRule[]) =>
    extension("envoy.filters.network.rbac", NetworkRbacSchema, { statPrefix, rules: rbac(action, rules) });
  return [...(deny.length > 0 ? [filter("DENY", deny)] : []), ...(allow === undefined ? [] : [filter("ALLOW", allow)])];
}

export function tcpProxy(cluster: string, statPrefix = cluster): Filter {
  return extension("envoy.filters.network.tcp_proxy", TcpProxySchema, {
    statPrefix,
    clusterSpecifier: { case: "cluster", value: cluster },
    accessLog: [...accessLog()],
  });
}
