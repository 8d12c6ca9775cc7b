/** What Gateway API demands of an HTTPRoute across fields (upstream writes it in CEL; the messages are upstream's). */
import type { RuleBreach } from "./schema.ts";

type Fields = Readonly<Record<string, unknown>>;
const broken = (message: string, field = ""): RuleBreach => ({ field, message });

const filterFields: Readonly<Record<string, string>> = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  ExtensionRef: "extensionRef",
  CORS: "cors",
};

export function filterHasItsField(filter: Fields & { readonly type: string }): RuleBreach | undefined {
  for (const [type, field] of Object.entries(filterFields)) {
    if (filter[field] !== undefined && filter.type !== type) return broken(`filter.${field} must be nil if the filter.type is not ${type}`);
    if (filter[field] === undefined && filter.type === type) return broken(`filter.${field} must be specified for ${type} filter.type`);
  }
  return undefined;
}

export function noRepeatedFilters(filters: readonly { readonly type: string }[]): RuleBreach | undefined {
  const types = filters.map((filter) => filter.type);
  if (types.includes("RequestRedirect") && types.includes("URLRewrite")) {
    return broken("May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both");
  }
  const once = ["CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"];
  const repeated = once.find((type) => types.indexOf(type) !== types.lastIndexOf(type));
  return repeated === undefined ? undefined : broken(`${repeated} filter cannot be repeated`);
}

export function pathModifierHasItsField(path: Fields & { readonly type: string }): RuleBreach | undefined {
  for (const [type, field] of [
    ["ReplaceFullPath", "replaceFullPath"],
    ["ReplacePrefixMatch", "replacePrefixMatch"],
  ] as const) {
    if (path.type === type && path[field] === undefined) return broken(`${field} must be specified when type is set to '${type}'`);
    if (path.type !== type && path[field] !== undefined) return broken(`type must be '${type}' when ${field} is set`);
  }
  return undefined;
}

export function percentOrFraction(mirror: { readonly percent?: number; readonly fraction?: unknown }): RuleBreach | undefined {
  const both = mirror.percent !== undefined && mirror.fraction !== undefined;
  return both ? broken("Only one of percent or fraction may be specified in HTTPRequestMirrorFilter") : undefined;
}

export function atMostOne({ numerator, denominator = 100 }: { readonly numerator: number; readonly denominator?: number }): RuleBreach | undefined {
  return numerator <= denominator ? undefined : broken("numerator must be less than or equal to denominator");
}

export function starAlone(field: string, others: string) {
  return (values: readonly string[]): RuleBreach | undefined =>
    values.length > 1 && values.includes("*") ? broken(`${field} cannot contain '*' alongside other ${others}`) : undefined;
}

interface Filter {
  readonly requestRedirect?: { readonly path?: PathModifier };
  readonly urlRewrite?: { readonly path?: PathModifier };
}

interface PathModifier {
  readonly type?: string;
  readonly replacePrefixMatch?: string;
}

interface Rule {
  readonly matches?: readonly { readonly path?: { readonly type?: string } }[];
  readonly filters?: readonly Filter[];
  readonly backendRefs?: readonly { readonly filters?: readonly Filter[] }[];
}

export function redirectHasNoBackends({ filters = [], backendRefs = [] }: Rule): RuleBreach | undefined {
  const both = backendRefs.length > 0 && filters.some(({ requestRedirect }) => requestRedirect !== undefined);
  return both ? broken("RequestRedirect filter must not be used together with backendRefs") : undefined;
}

/** Which prefix is replaced must be clear. */
export function prefixIsReplacedOnce({ matches = [], filters = [], backendRefs = [] }: Rule): RuleBreach | undefined {
  if (matches.length === 1 && (matches[0]?.path?.type ?? "PathPrefix") === "PathPrefix") return undefined;
  const replaces = (path: PathModifier | undefined) => path?.type === "ReplacePrefixMatch" && path.replacePrefixMatch !== undefined;
  const must = "filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified";
  if (filters.some(({ requestRedirect }) => replaces(requestRedirect?.path))) return broken(`When using RequestRedirect ${must}`);
  if (filters.some(({ urlRewrite }) => replaces(urlRewrite?.path))) return broken(`When using URLRewrite ${must}`);
  const inner = backendRefs.flatMap((backend) => backend.filters ?? []);
  if (inner.some(({ requestRedirect }) => replaces(requestRedirect?.path))) return broken(`Within backendRefs, when using RequestRedirect ${must}`);
  return inner.some(({ urlRewrite }) => replaces(urlRewrite?.path)) ? broken(`Within backendRefs, When using URLRewrite ${must}`) : undefined;
}

export function fewMatches(rules: readonly Rule[]): RuleBreach | undefined {
  const total = rules.reduce((sum, { matches = [] }) => sum + matches.length, 0);
  if (total <= 128) return undefined;
  return broken("While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must be less than 128");
}

interface Parent {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly sectionName?: string;
}

export function parentsDiffer(parents: readonly Parent[]): RuleBreach | undefined {
  const groups = Map.groupBy(parents, ({ group, kind, namespace = "", name }) => JSON.stringify([group, kind, namespace, name]));
  for (const same of groups.values()) {
    if (same.length < 2) continue;
    const sections = same.map(({ sectionName = "" }) => sectionName);
    if (sections.includes("") && sections.some((section) => section !== ""))
      return broken("sectionName must be specified when parentRefs includes 2 or more references to the same parent");
    if (new Set(sections).size < sections.length) return broken("sectionName must be unique when parentRefs includes 2 or more references to the same parent");
  }
  return undefined;
}

export function servicePortGiven(ref: { readonly group?: string; readonly kind?: string; readonly port?: number }): RuleBreach | undefined {
  if ((ref.group ?? "") !== "" || (ref.kind ?? "Service") !== "Service" || ref.port !== undefined) return undefined;
  return broken("Must have port for Service reference");
}

const pathPattern = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/;

export function absolutePath(path: { readonly type?: string; readonly value?: string }): RuleBreach | undefined {
  if (path.type === "RegularExpression") return undefined;
  const value = path.value ?? "/";
  const where = "when type one of ['Exact', 'PathPrefix']";
  if (!value.startsWith("/")) return broken(`value must be an absolute path and start with '/' ${where}`, "value");
  for (const part of ["//", "/./", "/../", "%2f", "%2F", "#"]) if (value.includes(part)) return broken(`must not contain '${part}' ${where}`, "value");
  for (const end of ["/..", "/."]) if (value.endsWith(end)) return broken(`must not end with '${end}' ${where}`, "value");
  if (pathPattern.test(value)) return undefined;
  return broken(`must only contain valid characters (matching ${pathPattern.source.replaceAll("\\/", "/")}) for types ['Exact', 'PathPrefix']`, "value");
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

export function requestTimeoutIsLonger(timeouts: { readonly request?: string; readonly backendRequest?: string }): RuleBreach | undefined {
  if (timeouts.request === undefined || timeouts.backendRequest === undefined) return undefined;
  const request = milliseconds(timeouts.request);
  if (request === 0 || milliseconds(timeouts.backendRequest) <= request) return undefined;
  return broken("backendRequest timeout cannot be longer than request timeout");
}

function milliseconds(text: string): number {
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(digits) * (unitMs[unit ?? ""] ?? 0);
  return total;
}
