/** envoy.config.route.v3.QueryParameterMatcher: the first parameter of that name decides, values as sent. */
import type { QueryParameterMatcher } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import type { RequestTest } from "./header-match.ts";
import { compileString } from "./string-match.ts";

export function compileQueryParameter(matcher: QueryParameterMatcher, path: string): RequestTest {
  const specifier = matcher.queryParameterMatchSpecifier;
  const name = matcher.name;
  if (specifier.case === "stringMatch") {
    const test = compileString(specifier.value, `${path}.string_match`);
    return (request) => {
      const value = queryParameter(request.path, name);
      return value !== undefined && test(value);
    };
  }
  const wanted = specifier.case === undefined || specifier.value;
  return (request) => (queryParameter(request.path, name) !== undefined) === wanted;
}

export function queryParameter(path: string, name: string): string | undefined {
  const start = path.indexOf("?");
  if (start < 0) return undefined;
  const fragment = path.indexOf("#", start);
  for (const pair of path.slice(start + 1, fragment < 0 ? undefined : fragment).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) === name) return equals < 0 ? "" : pair.slice(equals + 1);
  }
  return undefined;
}
