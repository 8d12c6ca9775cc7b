/** A route table with everything a matched route does already compiled: indexes are those of `decide`'s table. */
import type { RouteAction } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteAction_ClusterNotFoundResponseCode } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import type { RBACPerRoute } from "#wire/envoy/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import type { RequestView } from "#decide/request-view.ts";
import { compileRetry, type Retry } from "#decide/retry/retry.ts";
import { type ClusterChoice, compileClusterChoice } from "#decide/route/cluster-choice.ts";
import { compileHostRewrite, compilePathRewrite, compileRedirect, type Redirect, type Rewrite } from "#decide/route/rewrite.ts";
import { compileRouteTable, type RouteEntry, type RouteTable } from "#decide/route/route-table.ts";
import { inlineData } from "#proxy/config/data-source.ts";
import { durationMs } from "#proxy/config/durations.ts";
import { unpack } from "#proxy/config/unpack.ts";
import { compileMutations, type HeaderMutation, type MutationSource } from "#decide/route/header-mutation.ts";
import { compileRbacFilter, type RbacFilter } from "./rbac-filter.ts";

export interface Forward {
  readonly kind: "forward";
  readonly clusters: ClusterChoice;
  /** Mutations of the weighted cluster that was chosen, by its index. */
  readonly clusterRequestMutations: readonly (HeaderMutation | undefined)[];
  readonly clusterResponseMutations: readonly (HeaderMutation | undefined)[];
  readonly clusterNotFoundStatus: number;
  readonly rewritePath: Rewrite | undefined;
  readonly rewriteHost: ((request: RequestView) => string | undefined) | undefined;
  readonly autoHostRewrite: boolean;
  readonly appendForwardedHost: boolean;
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number | undefined;
  readonly retry: Retry | undefined;
  readonly attemptCountHeader: boolean;
  /** undefined: as the connection manager says. */
  readonly upgrades: ReadonlyMap<string, boolean>;
}

export type RouteAct =
  | Forward
  | { readonly kind: "redirect"; readonly to: (request: RequestView) => Redirect }
  | { readonly kind: "direct"; readonly status: number; readonly body: string };

export interface RouteRuntime {
  readonly entry: RouteEntry;
  readonly act: RouteAct;
  readonly requestMutation: HeaderMutation | undefined;
  readonly responseMutation: HeaderMutation | undefined;
  /** RBAC of this route instead of the filter's; "off" when the route has an empty one. */
  readonly rbac: RbacFilter | "off" | undefined;
}

export interface RoutesRuntime {
  readonly message: RouteConfiguration;
  readonly table: RouteTable;
  readonly routes: readonly RouteRuntime[];
}

/** Envoy's default. */
const ROUTE_TIMEOUT_MS = 15_000;

export function compileRoutes(message: RouteConfiguration): RoutesRuntime {
  const table = compileRouteTable(message);
  const routes = table.entries.map((entry): RouteRuntime => {
    const { route, virtualHost, path } = entry;
    const sources = (
      pick: (from: {
        requestHeadersToAdd: MutationSource["add"];
        requestHeadersToRemove: string[];
        responseHeadersToAdd: MutationSource["add"];
        responseHeadersToRemove: string[];
      }) => Omit<MutationSource, "path">,
    ) => (message.mostSpecificHeaderMutationsWins ? [message, virtualHost, route] : [route, virtualHost, message]).map((from) => ({ ...pick(from), path }));
    return {
      entry,
      act: compileAct(entry),
      requestMutation: compileMutations(sources((from) => ({ add: from.requestHeadersToAdd, remove: from.requestHeadersToRemove }))),
      responseMutation: compileMutations(sources((from) => ({ add: from.responseHeadersToAdd, remove: from.responseHeadersToRemove }))),
      rbac: perRouteRbac(entry),
    };
  });
  return { message, table, routes };
}

function perRouteRbac(entry: RouteEntry): RbacFilter | "off" | undefined {
  const configs = { ...entry.virtualHost.typedPerFilterConfig, ...entry.route.typedPerFilterConfig };
  for (const [name, any] of Object.entries(configs)) {
    const path = `${entry.path}.typed_per_filter_config["${name}"]`;
    const config = unpack(any, path);
    if (config.$typeName !== "envoy.extensions.filters.http.rbac.v3.RBACPerRoute") throw new ConfigProblem(path, `${config.$typeName}: ${NOT_SUPPORTED}`);
    const { rbac } = config as RBACPerRoute;
    return rbac === undefined ? "off" : compileRbacFilter(rbac, path);
  }
  return undefined;
}

function compileAct({ route, virtualHost, path }: RouteEntry): RouteAct {
  const { action } = route;
  switch (action.case) {
    case "redirect":
      return { kind: "redirect", to: compileRedirect(route, action.value, `${path}.redirect`) };
    case "directResponse":
      return { kind: "direct", status: action.value.status, body: inlineData(action.value.body, `${path}.direct_response.body`) ?? "" };
    case "route":
      return compileForward(action.value, { route, virtualHost, path, by: undefined });
    default:
      throw new ConfigProblem(
        `${path}.${action.case ?? "action"}`,
        action.case === undefined ? "is missing; give one of route, redirect, direct_response" : NOT_SUPPORTED,
      );
  }
}

function compileForward(action: RouteAction, { route, virtualHost, path }: RouteEntry): Forward {
  const at = `${path}.route`;
  const weighted = action.clusterSpecifier.case === "weightedClusters" ? action.clusterSpecifier.value.clusters : [];
  const retryPolicy = action.retryPolicy ?? virtualHost.retryPolicy;
  const notFound = action.clusterNotFoundResponseCode;
  return {
    kind: "forward",
    clusters: compileClusterChoice(action, at),
    clusterRequestMutations: weighted.map((one) => compileMutations([{ add: one.requestHeadersToAdd, remove: one.requestHeadersToRemove, path: at }])),
    clusterResponseMutations: weighted.map((one) => compileMutations([{ add: one.responseHeadersToAdd, remove: one.responseHeadersToRemove, path: at }])),
    clusterNotFoundStatus:
      notFound === RouteAction_ClusterNotFoundResponseCode.NOT_FOUND
        ? 404
        : notFound === RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR
          ? 500
          : 503,
    rewritePath: compilePathRewrite(route, action, at),
    rewriteHost: compileHostRewrite(action, at),
    autoHostRewrite: action.hostRewriteSpecifier.case === "autoHostRewrite" && action.hostRewriteSpecifier.value.value,
    appendForwardedHost: action.appendXForwardedHost,
    timeoutMs: durationMs(action.timeout) ?? ROUTE_TIMEOUT_MS,
    idleTimeoutMs: durationMs(action.idleTimeout),
    retry: retryPolicy === undefined ? undefined : compileRetry(retryPolicy, `${at}.retry_policy`),
    attemptCountHeader: virtualHost.includeRequestAttemptCount,
    upgrades: new Map(action.upgradeConfigs.map(({ upgradeType, enabled }) => [upgradeType.toLowerCase(), enabled ?? true])),
  };
}
