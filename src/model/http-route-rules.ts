/** What Gateway API demands of an HTTPRoute across fields (upstream writes it in CEL; the messages are upstream's). */
import { alsoInCel, type RuleBreach } from "./schema.ts";

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

export const filterHasItsField = alsoInCel(
  (filter: Fields & { readonly type: string }): RuleBreach | undefined => {
    for (const [type, field] of Object.entries(filterFields)) {
      if (filter[field] !== undefined && filter.type !== type) return broken(`filter.${field} must be nil if the filter.type is not ${type}`);
      if (filter[field] === undefined && filter.type === type) return broken(`filter.${field} must be specified for ${type} filter.type`);
    }
    return undefined;
  },
  ...Object.entries(filterFields).flatMap(([type, field]): (readonly [string, string])[] => [
    [`!has(self.${field}) || self.type == '${type}'`, `filter.${field} must be nil if the filter.type is not ${type}`],
    [`has(self.${field}) || self.type != '${type}'`, `filter.${field} must be specified for ${type} filter.type`],
  ]),
);

export const noRepeatedFilters = alsoInCel(
  (filters: readonly { readonly type: string }[]): RuleBreach | undefined => {
    const types = filters.map((filter) => filter.type);
    if (types.includes("RequestRedirect") && types.includes("URLRewrite")) {
      return broken("May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both");
    }
    const once = ["CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"];
    const repeated = once.find((type) => types.indexOf(type) !== types.lastIndexOf(type));
    return repeated === undefined ? undefined : broken(`${repeated} filter cannot be repeated`);
  },
  [
    "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
    "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both",
  ],
  ["self.filter(f, f.type == 'CORS').size() <= 1", "CORS filter cannot be repeated"],
  ["self.filter(f, f.type == 'RequestHeaderModifier').size() <= 1", "RequestHeaderModifier filter cannot be repeated"],
  ["self.filter(f, f.type == 'ResponseHeaderModifier').size() <= 1", "ResponseHeaderModifier filter cannot be repeated"],
  ["self.filter(f, f.type == 'RequestRedirect').size() <= 1", "RequestRedirect filter cannot be repeated"],
  ["self.filter(f, f.type == 'URLRewrite').size() <= 1", "URLRewrite filter cannot be repeated"],
);

export const pathModifierHasItsField = alsoInCel(
  (path: Fields & { readonly type: string }): RuleBreach | undefined => {
    for (const [type, field] of [
      ["ReplaceFullPath", "replaceFullPath"],
      ["ReplacePrefixMatch", "replacePrefixMatch"],
    ] as const) {
      if (path.type === type && path[field] === undefined) return broken(`${field} must be specified when type is set to '${type}'`);
      if (path.type !== type && path[field] !== undefined) return broken(`type must be '${type}' when ${field} is set`);
    }
    return undefined;
  },
  ["self.type != 'ReplaceFullPath' || has(self.replaceFullPath)", "replaceFullPath must be specified when type is set to 'ReplaceFullPath'"],
  ["self.type == 'ReplaceFullPath' || !has(self.replaceFullPath)", "type must be 'ReplaceFullPath' when replaceFullPath is set"],
  ["self.type != 'ReplacePrefixMatch' || has(self.replacePrefixMatch)", "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'"],
  ["self.type == 'ReplacePrefixMatch' || !has(self.replacePrefixMatch)", "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set"],
);

export const percentOrFraction = alsoInCel(
  (mirror: { readonly percent?: number; readonly fraction?: unknown }): RuleBreach | undefined => {
    const both = mirror.percent !== undefined && mirror.fraction !== undefined;
    return both ? broken("Only one of percent or fraction may be specified in HTTPRequestMirrorFilter") : undefined;
  },
  ["!(has(self.percent) && has(self.fraction))", "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter"],
);

export const atMostOne = alsoInCel(
  ({ numerator, denominator = 100 }: { readonly numerator: number; readonly denominator?: number }): RuleBreach | undefined => {
    return numerator <= denominator ? undefined : broken("numerator must be less than or equal to denominator");
  },
  ["self.numerator <= (has(self.denominator) ? self.denominator : 100)", "numerator must be less than or equal to denominator"],
);

export function starAlone(field: string, others: string) {
  const message = `${field} cannot contain '*' alongside other ${others}`;
  const check = (values: readonly string[]): RuleBreach | undefined => (values.length > 1 && values.includes("*") ? broken(message) : undefined);
  return alsoInCel(check, ["!('*' in self && self.size() > 1)", message]);
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

export const redirectHasNoBackends = alsoInCel(
  ({ filters = [], backendRefs = [] }: Rule): RuleBreach | undefined => {
    const both = backendRefs.length > 0 && filters.some(({ requestRedirect }) => requestRedirect !== undefined);
    return both ? broken("RequestRedirect filter must not be used together with backendRefs") : undefined;
  },
  [
    "!(has(self.backendRefs) && size(self.backendRefs) > 0) || !has(self.filters) || self.filters.all(f, !has(f.requestRedirect))",
    "RequestRedirect filter must not be used together with backendRefs",
  ],
);

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

export const fewMatches = alsoInCel(
  (rules: readonly Rule[]): RuleBreach | undefined => {
    const total = rules.reduce((sum, { matches = [] }) => sum + matches.length, 0);
    if (total <= 128) return undefined;
    return broken("While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must be less than 128");
  },
  [
    "self.map(r, has(r.matches) ? size(r.matches) : 0).sum() <= 128",
    "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must be less than 128",
  ],
);

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

export const servicePortGiven = alsoInCel(
  (ref: { readonly group?: string; readonly kind?: string; readonly port?: number }): RuleBreach | undefined => {
    if ((ref.group ?? "") !== "" || (ref.kind ?? "Service") !== "Service" || ref.port !== undefined) return undefined;
    return broken("Must have port for Service reference");
  },
  ["has(self.group) && size(self.group) > 0 || has(self.kind) && self.kind != 'Service' || has(self.port)", "Must have port for Service reference"],
);

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

export const requestTimeoutIsLonger = alsoInCel(
  (timeouts: { readonly request?: string; readonly backendRequest?: string }): RuleBreach | undefined => {
    if (timeouts.request === undefined || timeouts.backendRequest === undefined) return undefined;
    const request = milliseconds(timeouts.request);
    if (request === 0 || milliseconds(timeouts.backendRequest) <= request) return undefined;
    return broken("backendRequest timeout cannot be longer than request timeout");
  },
  [
    "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))",
    "backendRequest timeout cannot be longer than request timeout",
  ],
);

function milliseconds(text: string): number {
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(digits) * (unitMs[unit ?? ""] ?? 0);
  return total;
}
