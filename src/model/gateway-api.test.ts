import assert from "node:assert/strict";
import { test } from "node:test";
import { KINDS } from "./kinds.ts";
import { formatProblem } from "./problem.ts";
import { admit } from "./validate.ts";

type Fields = Readonly<Record<string, unknown>>;
const object = (kind: string, spec: Fields) => ({ apiVersion: "gateway.networking.k8s.io/v1", kind, metadata: { name: "x", namespace: "a" }, spec });
const route = (spec: Fields) => object("HTTPRoute", spec);
const rule = (fields: Fields) => route({ rules: [fields] });
const gateway = (fields: Fields, listener: Fields = {}) =>
  object("Gateway", { gatewayClassName: "weft", listeners: [{ name: "l", port: 80, protocol: "HTTP", ...listener }], ...fields });
const http = { name: "l", port: 80, protocol: "HTTP" };
const paths = (...values: readonly string[]) => values.map((value) => ({ path: { type: "PathPrefix", value } }));
const toPrefix = (type: "RequestRedirect" | "URLRewrite", field: string) => ({
  type,
  [field]: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } },
});
const backend = { name: "b", port: 80 };
const cors = (fields: Fields) => rule({ filters: [{ type: "CORS", cors: fields }] });
const onlyOnePrefix = "filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified";

const cases: readonly { readonly name: string; readonly object: ReturnType<typeof route>; readonly says: string | undefined }[] = [
  {
    name: "two parents told apart by section are fine",
    object: route({
      parentRefs: [
        { name: "g", sectionName: "a" },
        { name: "g", sectionName: "b" },
      ],
    }),
    says: undefined,
  },
  {
    name: "the same parent twice",
    object: route({ parentRefs: [{ name: "g" }, { name: "g" }] }),
    says: "sectionName must be unique when parentRefs includes 2 or more references to the same parent",
  },
  {
    name: "a parent as a whole and by section",
    object: route({ parentRefs: [{ name: "g" }, { name: "g", sectionName: "a" }] }),
    says: "sectionName must be specified when parentRefs includes 2 or more references to the same parent",
  },
  {
    name: "more than 128 matches",
    object: route({ rules: [1, 2, 3].map(() => ({ matches: paths(...Array.from({ length: 60 }, (_, i) => `/${i}`)) })) }),
    says: "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must be less than 128",
  },
  {
    name: "a redirect with backends",
    object: rule({ filters: [{ type: "RequestRedirect", requestRedirect: {} }], backendRefs: [backend] }),
    says: "RequestRedirect filter must not be used together with backendRefs",
  },
  { name: "one prefix is replaced", object: rule({ matches: paths("/a"), filters: [toPrefix("URLRewrite", "urlRewrite")] }), says: undefined },
  {
    name: "a prefix of two is rewritten",
    object: rule({ matches: paths("/a", "/b"), filters: [toPrefix("URLRewrite", "urlRewrite")] }),
    says: `When using URLRewrite ${onlyOnePrefix}`,
  },
  {
    name: "a redirect replaces the prefix of two",
    object: rule({ matches: paths("/a", "/b"), filters: [toPrefix("RequestRedirect", "requestRedirect")] }),
    says: `When using RequestRedirect ${onlyOnePrefix}`,
  },
  {
    name: "a backend's filter rewrites a prefix of two",
    object: rule({ matches: paths("/a", "/b"), backendRefs: [{ ...backend, filters: [toPrefix("URLRewrite", "urlRewrite")] }] }),
    says: `Within backendRefs, When using URLRewrite ${onlyOnePrefix}`,
  },
  {
    name: "a backend's filter redirects to the prefix of two",
    object: rule({ matches: paths("/a", "/b"), backendRefs: [{ ...backend, filters: [toPrefix("RequestRedirect", "requestRedirect")] }] }),
    says: `Within backendRefs, when using RequestRedirect ${onlyOnePrefix}`,
  },
  { name: "any origin and one more", object: cors({ allowOrigins: ["*", "https://a"] }), says: "AllowOrigins cannot contain '*' alongside other origins" },
  { name: "any method and one more", object: cors({ allowMethods: ["*", "GET"] }), says: "AllowMethods cannot contain '*' alongside other methods" },
  { name: "any header and one more", object: cors({ allowHeaders: ["*", "a"] }), says: "AllowHeaders cannot contain '*' alongside other methods" },
  {
    name: "more than all requests mirrored",
    object: rule({ filters: [{ type: "RequestMirror", requestMirror: { backendRef: backend, fraction: { numerator: 3, denominator: 2 } } }] }),
    says: "numerator must be less than or equal to denominator",
  },
  {
    name: "a share of mirrored requests said twice",
    object: rule({ filters: [{ type: "RequestMirror", requestMirror: { backendRef: backend, percent: 1, fraction: { numerator: 1 } } }] }),
    says: "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter",
  },
  {
    name: "a path with a character that has no place there",
    object: rule({ matches: paths("/a b") }),
    says: "must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']",
  },
  {
    name: "one address twice",
    object: gateway({ addresses: [{ value: "10.0.0.1" }, { type: "IPAddress", value: "10.0.0.1" }] }),
    says: "IPAddress values must be unique",
  },
  { name: "an address that is none", object: gateway({ addresses: [{ value: "a.b" }] }), says: "must be an IPv4 or IPv6 address when type is IPAddress" },
  {
    name: "a label without a name",
    object: gateway({ infrastructure: { labels: { "a.b/": "c" } } }),
    says: "Label keys must be in the form of an optional DNS subdomain prefix followed by a required name segment of up to 63 characters.",
  },
  {
    name: "one frontend port twice",
    object: gateway({ tls: { frontend: { default: {}, perPort: [443, 443].map((port) => ({ port, tls: {} })) } } }),
    says: "Port for TLS configuration must be unique within the Gateway",
  },
  {
    name: "TLS on a plain listener",
    object: gateway({}, { tls: { certificateRefs: [{ name: "c" }] } }),
    says: "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
  },
  {
    name: "two listeners on one port and name",
    object: gateway({ listeners: [http, { ...http, name: "m" }] }),
    says: "Combination of port, protocol and hostname must be unique for each listener",
  },
];

for (const { name, object: raw, says } of cases) {
  test(`${raw.kind}: ${name} ${says === undefined ? "is accepted" : "is refused in upstream's words"}`, () => {
    const { problems, unknown } = admit(raw.kind === "Gateway" ? KINDS.Gateway : KINDS.HTTPRoute, raw);
    const texts = problems.map(formatProblem);
    assert.deepEqual(unknown, []);
    if (says === undefined) assert.deepEqual(texts, []);
    else
      assert.ok(
        texts.some((text) => text.endsWith(`: ${says}`)),
        texts.join("\n"),
      );
  });
}
