/** How a route changes path and host before the request goes on (RouteAction), and where a RedirectAction points. */
import {
  type RedirectAction,
  RedirectAction_RedirectResponseCode,
  type Route,
  type RouteAction,
} from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileFirstValueReader } from "#decide/match/header-match.ts";
import { compileSubstitution } from "#decide/match/regex.ts";
import { pathOnly, type RequestView } from "#decide/request-view.ts";

export type Rewrite = (request: RequestView) => string;

/** The part of a path that the route's match consumed, which prefix_rewrite replaces. */
function matchedLength(route: Route): (pathname: string) => number {
  const specifier = route.match?.pathSpecifier;
  if (specifier?.case === "prefix" || specifier?.case === "pathSeparatedPrefix") {
    const length = specifier.value.length;
    return () => length;
  }
  return (pathname) => pathname.length;
}

function prefixRewrite(route: Route, replacement: string): Rewrite {
  const length = matchedLength(route);
  return ({ path }) => replacement + path.slice(length(pathOnly(path)));
}

function regexRewrite(regex: string, substitution: string, path: string): Rewrite {
  const substitute = compileSubstitution(regex, substitution, path);
  return (request) => {
    const pathname = pathOnly(request.path);
    return substitute(pathname) + request.path.slice(pathname.length);
  };
}

/** undefined: the path stays. */
export function compilePathRewrite(route: Route, action: RouteAction, path: string): Rewrite | undefined {
  if (action.pathRewritePolicy !== undefined) throw new ConfigProblem(`${path}.path_rewrite_policy`, NOT_SUPPORTED);
  if (action.prefixRewrite !== "") return prefixRewrite(route, action.prefixRewrite);
  if (action.regexRewrite !== undefined)
    return regexRewrite(action.regexRewrite.pattern?.regex ?? "", action.regexRewrite.substitution, `${path}.regex_rewrite`);
  return undefined;
}

/** undefined: the host stays (or the endpoint's host name is used: auto_host_rewrite). */
export function compileHostRewrite(action: RouteAction, path: string): ((request: RequestView) => string | undefined) | undefined {
  const specifier = action.hostRewriteSpecifier;
  switch (specifier.case) {
    case "hostRewriteLiteral": {
      const literal = specifier.value;
      return () => literal;
    }
    case "hostRewriteHeader":
      return compileFirstValueReader(specifier.value);
    case "hostRewritePathRegex": {
      const substitute = compileSubstitution(specifier.value.pattern?.regex ?? "", specifier.value.substitution, `${path}.host_rewrite_path_regex`);
      return (request) => substitute(pathOnly(request.path));
    }
    default:
      return undefined;
  }
}

export interface Redirect {
  readonly status: number;
  readonly location: string;
}

const REDIRECT_STATUS = new Map<number, number>([
  [RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY, 301],
  [RedirectAction_RedirectResponseCode.FOUND, 302],
  [RedirectAction_RedirectResponseCode.SEE_OTHER, 303],
  [RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT, 307],
  [RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT, 308],
]);

export function compileRedirect(route: Route, action: RedirectAction, path: string): (request: RequestView) => Redirect {
  const status = REDIRECT_STATUS.get(action.responseCode) ?? 301;
  const newPath = redirectPath(route, action, path);
  return (request) => {
    const scheme = redirectScheme(action, request.scheme);
    const host = redirectHost(action, request, scheme);
    let target = newPath(request);
    if (action.stripQuery) target = pathOnly(target);
    return { status, location: `${scheme}://${host}${target}` };
  };
}

function redirectScheme(action: RedirectAction, scheme: string): string {
  const specifier = action.schemeRewriteSpecifier;
  if (specifier.case === "httpsRedirect") return specifier.value ? "https" : scheme;
  return specifier.case === "schemeRedirect" ? specifier.value : scheme;
}

/** A port that was the default of the old scheme is dropped when the scheme changes. */
function redirectHost(action: RedirectAction, request: RequestView, scheme: string): string {
  let host = action.hostRedirect !== "" ? action.hostRedirect : request.authority;
  const port = /:(\d+)$/.exec(host);
  if (action.portRedirect !== 0) {
    if (port !== null) host = host.slice(0, port.index);
    const isDefault = (scheme === "http" && action.portRedirect === 80) || (scheme === "https" && action.portRedirect === 443);
    return isDefault ? host : `${host}:${action.portRedirect}`;
  }
  if (port !== null && scheme !== request.scheme && port[1] === (request.scheme === "http" ? "80" : "443")) return host.slice(0, port.index);
  return host;
}

function redirectPath(route: Route, action: RedirectAction, path: string): Rewrite {
  const specifier = action.pathRewriteSpecifier;
  switch (specifier.case) {
    case "pathRedirect": {
      const target = specifier.value;
      if (target.includes("?")) return () => target;
      return (request) => target + request.path.slice(pathOnly(request.path).length);
    }
    case "prefixRewrite":
      return prefixRewrite(route, specifier.value);
    case "regexRewrite":
      return regexRewrite(specifier.value.pattern?.regex ?? "", specifier.value.substitution, `${path}.regex_rewrite`);
    case undefined:
      return (request) => request.path;
  }
}
