/** gateway.networking.k8s.io: GatewayClass Gateway HTTPRoute ReferenceGrant (standard channel). */
import { condition, labelSelector } from "./meta.ts";
import type { KubeObject } from "./object.ts";
import { bool, having, int32, list, listByKey, mapOf, oneOfTexts, setOf, struct, text, type Rule, type Static } from "./schema.ts";
import { addressFitsType, differentAddresses, keysAreQualified, listenerRules, portsDiffer, terminateNeedsCertificate } from "./gateway-rules.ts";
import {
  absolutePath,
  atMostOne,
  fewMatches,
  filterHasItsField,
  noRepeatedFilters,
  parentsDiffer,
  pathModifierHasItsField,
  percentOrFraction,
  prefixIsReplacedOnce,
  redirectHasNoBackends,
  requestTimeoutIsLonger,
  servicePortGiven,
  starAlone,
} from "./http-route-rules.ts";

const group = having(text, { maxLength: 253, pattern: /^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/ });
const kind = having(text, { minLength: 1, maxLength: 63, pattern: /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/ });
const name = having(text, { minLength: 1, maxLength: 253 });
const namespace = having(text, { minLength: 1, maxLength: 63, pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/ });
const sectionName = having(text, { minLength: 1, maxLength: 253, pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/ });
const port = having(int32, { minimum: 1, maximum: 65535 });
const hostname = having(text, { minLength: 1, maxLength: 253, pattern: /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/ });
const preciseHostname = sectionName;
const controllerName = having(text, {
  minLength: 1,
  maxLength: 253,
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/,
});
const conditions = listByKey(condition, ["type"], { maxItems: 8 });
const gatewayGroup = having(group, { default: "gateway.networking.k8s.io" });

export const gatewayClassSpec = struct(
  { controllerName },
  { description: having(text, { maxLength: 64 }), parametersRef: struct({ group, kind, name }, { namespace }) },
);
const waiting = (...types: readonly string[]) =>
  types.map((type) => ({ type, status: "Unknown", reason: "Pending", message: "Waiting for controller", lastTransitionTime: "1970-01-01T00:00:00Z" }));
export const gatewayClassStatus = struct(
  {},
  { conditions: having(conditions, { default: waiting("Accepted") }), supportedFeatures: listByKey(struct({ name: text }, {}), ["name"], { maxItems: 64 }) },
  { default: { conditions: waiting("Accepted") } },
);
export interface GatewayClass extends KubeObject {
  readonly spec: Static<typeof gatewayClassSpec>;
  readonly status?: Static<typeof gatewayClassStatus>;
}

const secretRef = struct({ name }, { group: having(group, { default: "" }), kind: having(kind, { default: "Secret" }), namespace });
const anyRef = struct({ group, kind, name }, { namespace });
const validation = struct(
  { caCertificateRefs: list(anyRef, { minItems: 1, maxItems: 16 }) },
  { mode: having(oneOfTexts("AllowValidOnly", "AllowInsecureFallback"), { default: "AllowValidOnly" }) },
);
const addressType = having(text, {
  minLength: 1,
  maxLength: 253,
  default: "IPAddress",
  pattern: /^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/,
});
const longText = having(text, { maxLength: 4096 });
const labelValue = having(text, { maxLength: 63, pattern: /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/ });

const listener = struct(
  {
    name: sectionName,
    port,
    protocol: having(text, {
      minLength: 1,
      maxLength: 255,
      pattern: /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$/,
    }),
  },
  {
    hostname,
    tls: struct(
      {},
      {
        mode: having(oneOfTexts("Terminate", "Passthrough"), { default: "Terminate" }),
        certificateRefs: list(secretRef, { maxItems: 64 }),
        options: mapOf(longText, { maxProperties: 16 }),
      },
      { rules: [terminateNeedsCertificate] },
    ),
    allowedRoutes: struct(
      {},
      {
        namespaces: struct(
          {},
          { from: having(oneOfTexts("All", "Selector", "Same"), { default: "Same" }), selector: labelSelector },
          { default: { from: "Same" } },
        ),
        kinds: list(struct({ kind }, { group: gatewayGroup }), { maxItems: 8 }),
      },
      { default: { namespaces: { from: "Same" } } },
    ),
  },
);
export type GatewayListener = Static<typeof listener>;

export const gatewaySpec = struct(
  { gatewayClassName: name, listeners: listByKey(listener, ["name"], { minItems: 1, maxItems: 64, rules: [listenerRules] }) },
  {
    addresses: list(struct({}, { type: addressType, value: having(text, { maxLength: 253 }) }, { rules: [addressFitsType] }), {
      maxItems: 16,
      rules: [differentAddresses],
    }),
    infrastructure: struct(
      {},
      {
        labels: mapOf(labelValue, { maxProperties: 8, rules: [keysAreQualified("Label")] }),
        annotations: mapOf(longText, { maxProperties: 16, rules: [keysAreQualified("Annotation")] }),
        parametersRef: struct({ group, kind, name }, {}),
      },
    ),
    allowedListeners: struct(
      {},
      {
        namespaces: struct(
          {},
          { from: having(oneOfTexts("All", "Selector", "Same", "None"), { default: "None" }), selector: labelSelector },
          { default: { from: "None" } },
        ),
      },
    ),
    tls: struct(
      {},
      {
        backend: struct({}, { clientCertificateRef: secretRef }),
        frontend: struct(
          { default: struct({}, { validation }) },
          { perPort: listByKey(struct({ port, tls: struct({}, { validation }) }, {}), ["port"], { maxItems: 64, rules: [portsDiffer] }) },
        ),
      },
    ),
  },
);
export const gatewayStatus = struct(
  {},
  {
    addresses: list(struct({ value: having(text, { minLength: 1, maxLength: 253 }) }, { type: addressType }, { rules: [addressFitsType] }), { maxItems: 16 }),
    attachedListenerSets: int32,
    conditions: having(conditions, { default: waiting("Accepted", "Programmed") }),
    listeners: listByKey(
      struct({ name: sectionName, attachedRoutes: int32, conditions }, { supportedKinds: list(struct({ kind }, { group: gatewayGroup }), { maxItems: 8 }) }),
      ["name"],
      { maxItems: 64 },
    ),
  },
  { default: { conditions: waiting("Accepted", "Programmed") } },
);
export interface Gateway extends KubeObject {
  readonly spec: Static<typeof gatewaySpec>;
  readonly status?: Static<typeof gatewayStatus>;
}

const parentRef = struct({ name }, { group: gatewayGroup, kind: having(kind, { default: "Gateway" }), namespace, sectionName, port });
export type ParentReference = Static<typeof parentRef>;

const headerName = having(text, { minLength: 1, maxLength: 256, pattern: /^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$/ });
const headerValue = having(text, { minLength: 1, maxLength: 4096 });
const headerValues = listByKey(struct({ name: headerName, value: headerValue }, {}), ["name"], { maxItems: 16 });
const headerModifier = struct({}, { set: headerValues, add: headerValues, remove: setOf(text, { maxItems: 16 }) });
const pathModifier = struct(
  { type: oneOfTexts("ReplaceFullPath", "ReplacePrefixMatch") },
  { replaceFullPath: having(text, { maxLength: 1024 }), replacePrefixMatch: having(text, { maxLength: 1024 }) },
  { rules: [pathModifierHasItsField] },
);
const backendFields = { group: having(group, { default: "" }), kind: having(kind, { default: "Service" }), namespace, port };
const backendObject = struct({ name }, backendFields, { rules: [servicePortGiven] });
const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;
const corsSet = (pattern: RegExp, maxLength: number, rule: Rule) => setOf(having(text, { minLength: 1, maxLength, pattern }), { maxItems: 64, rules: [rule] });
const corsHeader = /^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$/;

const filter = struct(
  { type: oneOfTexts("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite", "ExtensionRef", "CORS") },
  {
    requestHeaderModifier: headerModifier,
    responseHeaderModifier: headerModifier,
    requestMirror: struct(
      { backendRef: backendObject },
      {
        percent: having(int32, { minimum: 0, maximum: 100 }),
        fraction: struct({ numerator: having(int32, { minimum: 0 }) }, { denominator: having(int32, { minimum: 1, default: 100 }) }, { rules: [atMostOne] }),
      },
      { rules: [percentOrFraction] },
    ),
    requestRedirect: struct(
      {},
      {
        scheme: oneOfTexts("http", "https"),
        hostname: preciseHostname,
        path: pathModifier,
        port,
        statusCode: having(int32, { default: 302, numberEnum: [301, 302, 303, 307, 308] }),
      },
    ),
    urlRewrite: struct({}, { hostname: preciseHostname, path: pathModifier }),
    cors: struct(
      {},
      {
        allowOrigins: corsSet(
          /(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)/,
          253,
          starAlone("AllowOrigins", "origins"),
        ),
        allowMethods: setOf(oneOfTexts(...methods, "*"), { maxItems: 9, rules: [starAlone("AllowMethods", "methods")] }),
        allowHeaders: corsSet(corsHeader, 256, starAlone("AllowHeaders", "methods")),
        exposeHeaders: setOf(having(text, { minLength: 1, maxLength: 256, pattern: corsHeader }), { maxItems: 64 }),
        allowCredentials: bool,
        maxAge: having(int32, { minimum: 1, default: 5 }),
      },
    ),
    extensionRef: struct({ group, kind, name }, {}),
  },
  { rules: [filterHasItsField] },
);
const filters = list(filter, { maxItems: 16, rules: [noRepeatedFilters] });

const matchType = having(oneOfTexts("Exact", "RegularExpression"), { default: "Exact" });
const slash = { type: "PathPrefix", value: "/" } as const;
const match = struct(
  {},
  {
    path: struct(
      {},
      {
        type: having(oneOfTexts("Exact", "PathPrefix", "RegularExpression"), { default: "PathPrefix" }),
        value: having(text, { maxLength: 1024, default: "/" }),
      },
      { default: slash, rules: [absolutePath] },
    ),
    headers: listByKey(struct({ name: headerName, value: headerValue }, { type: matchType }), ["name"], { maxItems: 16 }),
    queryParams: listByKey(struct({ name: headerName, value: having(text, { minLength: 1, maxLength: 1024 }) }, { type: matchType }), ["name"], {
      maxItems: 16,
    }),
    method: oneOfTexts(...methods),
  },
);
export type HTTPRouteMatch = Static<typeof match>;

const gepDuration = having(text, { pattern: /^([0-9]{1,5}(h|m|s|ms)){1,4}$/ });
const backendRef = struct(
  { name },
  { ...backendFields, weight: having(int32, { minimum: 0, maximum: 1000000, default: 1 }), filters },
  { rules: [servicePortGiven] },
);
const rule = struct(
  {},
  {
    name: sectionName,
    matches: list(match, { maxItems: 64, default: [{ path: slash }] }),
    filters,
    backendRefs: list(backendRef, { maxItems: 16 }),
    timeouts: struct({}, { request: gepDuration, backendRequest: gepDuration }, { rules: [requestTimeoutIsLonger] }),
  },
  { rules: [redirectHasNoBackends, prefixIsReplacedOnce] },
);
export type HTTPRouteRule = Static<typeof rule>;

export const httpRouteSpec = struct(
  {},
  {
    parentRefs: list(parentRef, { maxItems: 32, rules: [parentsDiffer] }),
    hostnames: list(hostname, { maxItems: 16 }),
    rules: list(rule, { minItems: 1, maxItems: 16, default: [{ matches: [{ path: slash }] }], rules: [fewMatches] }),
  },
);
export const routeStatus = struct(
  { parents: list(struct({ parentRef, controllerName, conditions: having(conditions, { minItems: 1 }) }, {}), { maxItems: 32 }) },
  {},
);
export interface HTTPRoute extends KubeObject {
  readonly spec: Static<typeof httpRouteSpec>;
  readonly status?: Static<typeof routeStatus>;
}

export const referenceGrantSpec = struct(
  {
    from: list(struct({ group, kind, namespace }, {}), { minItems: 1, maxItems: 16 }),
    to: list(struct({ group, kind }, { name }), { minItems: 1, maxItems: 16 }),
  },
  {},
);
export interface ReferenceGrant extends KubeObject {
  readonly spec: Static<typeof referenceGrantSpec>;
}
