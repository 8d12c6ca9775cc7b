/** envoy.config.route.v3.HeaderMatcher, pseudo-headers too. */
import { headerName } from "#wire/http/header-name.ts";
import type { HeaderMatcher } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";
import type { RequestView } from "#decide/request-view.ts";
import { compileRegexMatcher, type StringTest } from "./regex.ts";
import { compileLiteral, compileString } from "./string-match.ts";

export type RequestTest = (request: RequestView) => boolean;
export type HeaderReader = (request: RequestView) => string | undefined;

export function compileHeaderReader(name: string): HeaderReader {
  const lower = name.toLowerCase();
  switch (lower) {
    case ":method":
      return (request) => request.method;
    case ":path":
      return (request) => (request.method === "CONNECT" ? undefined : request.path);
    case ":authority":
    case "host":
      return (request) => (request.authority === "" ? undefined : request.authority);
    case ":scheme":
      return (request) => request.scheme;
  }
  const interned = headerName(lower);
  return (request) => request.header(interned);
}

/** As a log, a mutation or a route reads a header: of several of one name, Envoy takes the first. */
export function compileFirstValueReader(name: string): HeaderReader {
  const read = compileHeaderReader(name);
  if (name.startsWith(":") || name.toLowerCase() === "host") return read;
  const interned = headerName(name);
  return (request) => {
    const joined = read(request);
    return joined?.includes(",") === true ? (request.repeated(interned)?.[0] ?? joined) : joined;
  };
}

export function compileHeader(matcher: HeaderMatcher, path: string): RequestTest {
  if (matcher.name === "") throw new ConfigProblem(`${path}.name`, "is empty; name the header to match");
  const read = compileHeaderReader(matcher.name);
  const specifier = matcher.headerMatchSpecifier;
  const invert = matcher.invertMatch;
  if (specifier.case === undefined || specifier.case === "presentMatch") {
    const wanted = (specifier.case === undefined || specifier.value) !== invert;
    if (matcher.treatMissingHeaderAsEmpty) return () => wanted;
    return (request) => (read(request) !== undefined) === wanted;
  }
  const test = anyValue(matcher.name, valueTest(specifier, path));
  if (matcher.treatMissingHeaderAsEmpty) return (request) => test(read(request) ?? "", request) !== invert;
  // A header that is not there matches nothing, not even inverted (as in Envoy).
  return (request) => {
    const value = read(request);
    return value !== undefined && test(value, request) !== invert;
  };
}

/** Of several headers of one name it is enough that one matches (Envoy 1.40; found by asking it). */
function anyValue(name: string, test: StringTest): (joined: string, request: RequestView) => boolean {
  if (name.startsWith(":")) return test;
  const interned = headerName(name);
  return (joined, request) => {
    const values = joined.includes(",") ? request.repeated(interned) : undefined;
    return values === undefined ? test(joined) : values.some(test);
  };
}

type ValueSpecifier = Exclude<HeaderMatcher["headerMatchSpecifier"], { case: undefined } | { case: "presentMatch" }>;

function valueTest(specifier: ValueSpecifier, path: string): StringTest {
  switch (specifier.case) {
    case "exactMatch":
      return compileLiteral("exact", specifier.value, false);
    case "prefixMatch":
      return compileLiteral("prefix", specifier.value, false);
    case "suffixMatch":
      return compileLiteral("suffix", specifier.value, false);
    case "containsMatch":
      return compileLiteral("contains", specifier.value, false);
    case "safeRegexMatch":
      return compileRegexMatcher(specifier.value, `${path}.safe_regex_match`);
    case "stringMatch":
      return compileString(specifier.value, `${path}.string_match`);
    case "rangeMatch": {
      const { start, end } = specifier.value;
      return (text) => {
        if (!/^[+-]?\d{1,18}$/.test(text)) return false;
        const value = BigInt(text);
        return value >= start && value < end;
      };
    }
  }
}

/** All of them. */
export function compileHeaders(matchers: readonly HeaderMatcher[], path: string): RequestTest | undefined {
  const tests = matchers.map((matcher, i) => compileHeader(matcher, `${path}[${i}]`));
  const [only] = tests;
  if (tests.length <= 1) return only;
  return (request) => tests.every((test) => test(request));
}
