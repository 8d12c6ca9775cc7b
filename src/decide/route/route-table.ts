/**
 * envoy.config.route.v3.RouteConfiguration -> a table of routes and one function that answers with an index into it.
 * The proxy acts on the index; `weft why` prints `entries[index].by`. There is no second interpreter.
 */
import type { Route, VirtualHost } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import type { RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { provenanceOf } from "#decide/provenance-of.ts";
import { pathOnly, type RequestView } from "#decide/request-view.ts";
import { compileRouteMatch, type RouteTest } from "./route-match.ts";
import { compileVirtualHosts, withoutPort } from "./virtual-host-match.ts";

/** No virtual host has the authority. */
export const NO_VIRTUAL_HOST = -1;
/** The virtual host has no route for the request. */
export const NO_ROUTE = -2;

export interface RouteEntry {
  readonly virtualHost: VirtualHost;
  readonly route: Route;
  /** The object and field it came from, or the virtual host's. */
  readonly by: string | undefined;
  /** For errors: virtual_hosts[2].routes[0]. */
  readonly path: string;
}

export interface RouteTable {
  readonly name: string;
  readonly entries: readonly RouteEntry[];
  /** `random` in [0, 1) is for runtime fractions. Returns an index into `entries`, NO_VIRTUAL_HOST or NO_ROUTE. */
  match(request: RequestView, random: number): number;
}

export function compileRouteTable(config: RouteConfiguration): RouteTable {
  const path = `route configuration "${config.name}"`;
  if (config.vhds !== undefined) throw new ConfigProblem(`${path}.vhds`, NOT_SUPPORTED);
  const hostOf = compileVirtualHosts(config, path);
  const entries: RouteEntry[] = [];
  const tests: RouteTest[] = [];
  /** First and one past the last entry of each virtual host. */
  const starts: number[] = [];
  for (const [h, virtualHost] of config.virtualHosts.entries()) {
    starts.push(entries.length);
    if (virtualHost.matcher !== undefined) throw new ConfigProblem(`${path}.virtual_hosts[${h}].matcher`, NOT_SUPPORTED);
    for (const [r, route] of virtualHost.routes.entries()) {
      const routePath = `${path}.virtual_hosts[${h}].routes[${r}]`;
      if (route.match === undefined) throw new ConfigProblem(`${routePath}.match`, "is missing");
      tests.push(compileRouteMatch(route.match, `${routePath}.match`));
      entries.push({ virtualHost, route, by: provenanceOf(route.metadata) ?? provenanceOf(virtualHost.metadata), path: routePath });
    }
  }
  starts.push(entries.length);
  const ignorePort = config.ignorePortInHostMatching;
  const match = (request: RequestView, random: number): number => {
    const host = hostOf(ignorePort ? withoutPort(request.authority) : request.authority);
    if (host < 0) return NO_VIRTUAL_HOST;
    const pathname = pathOnly(request.path);
    const end = starts[host + 1] ?? 0;
    for (let i = starts[host] ?? 0; i < end; i++) if (tests[i]?.(request, pathname, random) === true) return i;
    return NO_ROUTE;
  };
  return { name: config.name, entries, match };
}
