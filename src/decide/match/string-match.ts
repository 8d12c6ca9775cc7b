import type { PathMatcher } from "#wire/envoy/gen/envoy/type/matcher/v3/path_pb.ts";
import type { StringMatcher } from "#wire/envoy/gen/envoy/type/matcher/v3/string_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { pathOnly } from "#decide/request-view.ts";
import { compileRegexMatcher, type StringTest } from "./regex.ts";

/** envoy.type.matcher.v3.StringMatcher */
export function compileString(matcher: StringMatcher, path: string): StringTest {
  const pattern = matcher.matchPattern;
  if (pattern.case === undefined) throw new ConfigProblem(path, "has no pattern; give one of exact, prefix, suffix, contains, safe_regex");
  if (pattern.case === "safeRegex") return compileRegexMatcher(pattern.value, `${path}.safe_regex`);
  if (pattern.case === "custom") throw new ConfigProblem(`${path}.custom`, NOT_SUPPORTED);
  return compileLiteral(pattern.case, pattern.value, matcher.ignoreCase);
}

export function compileLiteral(kind: "exact" | "prefix" | "suffix" | "contains", value: string, ignoreCase: boolean): StringTest {
  if (ignoreCase) {
    const test = compileLiteral(kind, value.toLowerCase(), false);
    return (text) => test(text.toLowerCase());
  }
  switch (kind) {
    case "exact":
      return (text) => text === value;
    case "prefix":
      return (text) => text.startsWith(value);
    case "suffix":
      return (text) => text.endsWith(value);
    case "contains":
      return (text) => text.includes(value);
  }
}

/** envoy.type.matcher.v3.PathMatcher: the path without query. */
export function compilePath(matcher: PathMatcher, path: string): StringTest {
  if (matcher.rule.case !== "path") throw new ConfigProblem(path, "has no rule; give path");
  const test = compileString(matcher.rule.value, `${path}.path`);
  return (text) => test(pathOnly(text));
}
