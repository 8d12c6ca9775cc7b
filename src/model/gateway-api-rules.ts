/** What Gateway API's definitions demand across fields (upstream writes them in CEL; the messages are upstream's). */
import type { RuleBreach } from "./schema.ts";

type Fields = Readonly<Record<string, unknown>>;
const broken = (message: string, field = ""): RuleBreach => ({ field, message });

interface Listener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname?: string;
  readonly tls?: { readonly mode?: string };
}

export function listenerRules(listeners: readonly Listener[]): RuleBreach | undefined {
  const seen = new Set<string>();
  for (const { protocol, port, hostname, tls } of listeners) {
    if (["HTTP", "TCP", "UDP"].includes(protocol) && tls !== undefined) return broken("tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
    if (protocol === "HTTPS" && tls !== undefined && (tls.mode ?? "Terminate") !== "Terminate") return broken("tls mode must be Terminate for protocol HTTPS");
    if (protocol === "TLS" && (tls?.mode ?? "") === "") return broken("tls mode must be set for protocol TLS");
    if (["TCP", "UDP"].includes(protocol) && (hostname ?? "") !== "") return broken("hostname must not be specified for protocols ['TCP', 'UDP']");
    const key = JSON.stringify([port, protocol, hostname]);
    if (seen.has(key)) return broken("Combination of port, protocol and hostname must be unique for each listener");
    seen.add(key);
  }
  return undefined;
}

export function terminateNeedsCertificate(tls: {
  readonly mode?: string;
  readonly certificateRefs?: readonly unknown[];
  readonly options?: object;
}): RuleBreach | undefined {
  if ((tls.mode ?? "Terminate") !== "Terminate") return undefined;
  if ((tls.certificateRefs ?? []).length > 0 || Object.keys(tls.options ?? {}).length > 0) return undefined;
  return broken("certificateRefs or options must be specified when mode is Terminate");
}

const hostnamePattern = /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export function hostnameAddress(address: { readonly type?: string; readonly value?: string }): RuleBreach | undefined {
  if (address.type !== "Hostname" || address.value === undefined || hostnamePattern.test(address.value)) return undefined;
  return broken("Hostname value must be empty or contain only valid characters", "value");
}

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

export function mirrorFraction(mirror: {
  readonly percent?: number;
  readonly fraction?: { readonly numerator: number; readonly denominator?: number };
}): RuleBreach | undefined {
  if (mirror.percent !== undefined && mirror.fraction !== undefined)
    return broken("Only one of percent or fraction may be specified in HTTPRequestMirrorFilter");
  if (mirror.fraction === undefined || mirror.fraction.numerator <= (mirror.fraction.denominator ?? 100)) return undefined;
  return broken("numerator must be less than or equal to denominator", "fraction");
}

export function servicePortGiven(ref: { readonly group?: string; readonly kind?: string; readonly port?: number }): RuleBreach | undefined {
  if ((ref.group ?? "") !== "" || (ref.kind ?? "Service") !== "Service" || ref.port !== undefined) return undefined;
  return broken("Must have port for Service reference");
}

export function absolutePath(path: { readonly type?: string; readonly value?: string }): RuleBreach | undefined {
  if (path.type === "RegularExpression") return undefined;
  const value = path.value ?? "/";
  const where = "when type one of ['Exact', 'PathPrefix']";
  if (!value.startsWith("/")) return broken(`value must be an absolute path and start with '/' ${where}`, "value");
  for (const part of ["//", "/./", "/../", "%2f", "%2F", "#"]) if (value.includes(part)) return broken(`must not contain '${part}' ${where}`, "value");
  for (const end of ["/..", "/."]) if (value.endsWith(end)) return broken(`must not end with '${end}' ${where}`, "value");
  if (/^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/.test(value)) return undefined;
  return broken("must only contain valid characters for types ['Exact', 'PathPrefix']", "value");
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
