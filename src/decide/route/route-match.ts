/** envoy.config.route.v3.RouteMatch -> one closure. */
import type { RouteMatch } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileHeaders } from "#decide/match/header-match.ts";
import { fractionOf } from "#decide/match/fraction.ts";
import { compileQueryParameter } from "#decide/match/query-match.ts";
import { compileRegexMatcher } from "#decide/match/regex.ts";
import { compileLiteral } from "#decide/match/string-match.ts";
import type { RequestView } from "#decide/request-view.ts";

/** `pathname` is the path without query, cut once per request. */
export type RouteTest = (request: RequestView, pathname: string, random: number) => boolean;

export function compileRouteMatch(match: RouteMatch, path: string): RouteTest {
  if (match.grpc !== undefined) throw new ConfigProblem(`${path}.grpc`, NOT_SUPPORTED);
  if (match.tlsContext !== undefined) throw new ConfigProblem(`${path}.tls_context`, NOT_SUPPORTED);
  if (match.dynamicMetadata.length > 0) throw new ConfigProblem(`${path}.dynamic_metadata`, NOT_SUPPORTED);
  const pathTest = compilePathSpecifier(match, path);
  const headers = compileHeaders(match.headers, `${path}.headers`);
  const query = match.queryParameters.map((matcher, i) => compileQueryParameter(matcher, `${path}.query_parameters[${i}]`));
  const fraction = match.runtimeFraction === undefined ? 1 : fractionOf(match.runtimeFraction.defaultValue);
  if (headers === undefined && query.length === 0 && fraction >= 1) return pathTest;
  return (request, pathname, random) =>
    pathTest(request, pathname, random) &&
    (headers === undefined || headers(request)) &&
    query.every((test) => test(request)) &&
    (fraction >= 1 || random < fraction);
}

function compilePathSpecifier(match: RouteMatch, path: string): RouteTest {
  const specifier = match.pathSpecifier;
  const ignoreCase = match.caseSensitive === false;
  const notConnect = (test: (text: string) => boolean): RouteTest => {
    return (request, pathname) => request.method !== "CONNECT" && test(pathname);
  };
  switch (specifier.case) {
    case "prefix":
      // "/" and "" match every path, CONNECT and "*" excepted for "/".
      if (specifier.value === "") return (request) => request.method !== "CONNECT";
      return notConnect(compileLiteral("prefix", specifier.value, ignoreCase));
    case "path":
      return notConnect(compileLiteral("exact", specifier.value, ignoreCase));
    case "pathSeparatedPrefix": {
      const exact = compileLiteral("exact", specifier.value, ignoreCase);
      const below = compileLiteral("prefix", `${specifier.value}/`, ignoreCase);
      return notConnect((text) => exact(text) || below(text));
    }
    case "safeRegex":
      return notConnect(compileRegexMatcher(specifier.value, `${path}.safe_regex`));
    case "connectMatcher":
      return (request) => request.method === "CONNECT";
    case "pathMatchPolicy":
      throw new ConfigProblem(`${path}.path_match_policy`, NOT_SUPPORTED);
    case undefined:
      throw new ConfigProblem(path, "has no path specifier; give one of prefix, path, path_separated_prefix, safe_regex, connect_matcher");
  }
}
