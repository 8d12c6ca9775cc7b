/** Random policies and routes of one round, all of kinds and fields that Weft enforces. */
import type { KubeObject } from "#model/object.ts";
import type { Draw } from "./draw.ts";
import { object } from "./topology.ts";

export const paths = ["/", "/public", "/public/1", "/publicity", "/front", "/admin", "/admin/../public", "/public//x", "/old/1", "/a%2e%2e/b", "/public?x=1"];
export const methods = ["GET", "GET", "POST", "DELETE"];
export const headerSets: readonly Readonly<Record<string, string>>[] = [
  {},
  {},
  { "x-role": "admin" },
  { "x-role": "guest" },
  { "end-user": "jason" },
  { "x-forwarded-for": "203.0.113.7" },
  { "x-forwarded-for": "203.0.113.7, 10.244.0.77", "x-role": "admin" },
];

const isolated = ["alpha", "beta", "plain"] as const;
const apps = { alpha: ["web", "front", "bare"], beta: ["api"], plain: ["old", "tool"] } as const;

/** `round` makes names unique, so that what an earlier round left behind cannot pass for this one's. */
export function policiesOf(draw: Draw, round: number): readonly KubeObject[] {
  const name = (what: string, i: number): string => `${what}-r${round}-${i}`;
  return [
    ...draw.times(2, (i) => peerAuthentication(draw, name("peers", i))),
    ...draw.times(4, (i) => authorization(draw, name("access", i))),
    ...draw.times(3, (i) => networkPolicy(draw, name("net", i))),
    ...destinationRules(draw, name),
    ...(draw.chance(0.7) ? [virtualService(draw, name("web", 0), "alpha", "web", 80)] : []),
    ...(draw.chance(0.6) ? [virtualService(draw, name("api", 0), "beta", "api", 8080)] : []),
    ...(draw.chance(0.6) ? [serviceRoute(draw, name("front", 0))] : []),
    ...(draw.chance(0.4) ? edgeOf(draw, name("edge", 0)) : []),
  ];
}

function peerAuthentication(draw: Draw, name: string): KubeObject {
  const mode = (): string => draw.of("STRICT", "STRICT", "PERMISSIVE", "DISABLE");
  const namespace = draw.of("istio-system", "alpha", "beta");
  if (namespace === "istio-system" || draw.chance(0.5))
    return object("security.istio.io/v1", "PeerAuthentication", namespace, name, { spec: { mtls: { mode: mode() } } });
  return object("security.istio.io/v1", "PeerAuthentication", namespace, name, {
    spec: {
      selector: { matchLabels: { app: draw.from(apps[namespace]) } },
      mtls: { mode: mode() },
      ...(draw.chance(0.5) ? { portLevelMtls: { [draw.of("8080", "9000")]: { mode: mode() } } } : {}),
    },
  });
}

function authorization(draw: Draw, name: string): KubeObject {
  const namespace = draw.of("alpha", "alpha", "beta", "beta", "istio-system");
  const selector = namespace !== "istio-system" && draw.chance(0.7) ? { selector: { matchLabels: { app: draw.from(apps[namespace]) } } } : {};
  const action = namespace === "istio-system" ? "DENY" : draw.of("ALLOW", "ALLOW", "DENY");
  return object("security.istio.io/v1", "AuthorizationPolicy", namespace, name, { spec: { ...selector, action, rules: draw.times(3, () => rule(draw)) } });
}

function rule(draw: Draw): object {
  const values = draw.of("values", "notValues");
  const condition = draw.of<object>(
    { key: "request.headers[x-role]", [values]: ["admin"] },
    { key: "source.ip", [values]: ["10.244.0.0/24"] },
    { key: "remote.ip", [values]: ["203.0.113.0/24"] },
    { key: "source.principal", [values]: ["cluster.local/ns/alpha/*"] },
    { key: "source.namespace", [values]: ["alpha"] },
    { key: "destination.port", [values]: ["8080"] },
  );
  return {
    ...(draw.chance(0.6) ? { from: [{ source: source(draw) }] } : {}),
    ...(draw.chance(0.7) ? { to: [{ operation: operation(draw) }] } : {}),
    ...(draw.chance(0.2) ? { when: [condition] } : {}),
  };
}

function source(draw: Draw): object {
  const gateway = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
  const principals = [
    "cluster.local/ns/alpha/sa/front",
    "cluster.local/ns/alpha/sa/web",
    "cluster.local/ns/beta/sa/api",
    "cluster.local/ns/istio-system/*",
    gateway,
  ];
  return draw.of<() => object>(
    () => ({ principals: draw.some(principals) }),
    () => ({ notPrincipals: draw.some(principals) }),
    () => ({ namespaces: draw.some(["alpha", "beta"]) }),
    () => ({ notNamespaces: draw.some(["alpha", "beta"]) }),
    () => ({ ipBlocks: [draw.of("10.244.0.0/24", "10.244.1.0/24")] }),
    () => ({ [draw.of("remoteIpBlocks", "notRemoteIpBlocks")]: [draw.of("203.0.113.0/24", "10.244.0.0/16", "192.168.99.0/24")] }),
  )();
}

function operation(draw: Draw): object {
  return {
    ...(draw.chance(0.5) ? { [draw.of("methods", "notMethods")]: draw.some(["GET", "POST"]) } : {}),
    ...(draw.chance(0.6) ? { [draw.of("paths", "paths", "notPaths")]: draw.some(["/public*", "/admin", "*/1", "/front", "/"]) } : {}),
    ...(draw.chance(0.2) ? { [draw.of("ports", "notPorts")]: draw.some(["8080", "9000"]) } : {}),
    ...(draw.chance(0.1) ? { hosts: draw.some(["web", "web.alpha.svc.cluster.local", "*.beta"]) } : {}),
  };
}

function networkPolicy(draw: Draw, name: string): KubeObject {
  const namespace = draw.from(isolated);
  const policyTypes = draw.some(["Ingress", "Ingress", "Egress"]);
  const ingress = policyTypes.includes("Ingress") ? { ingress: draw.times(2, () => ({ ...peers(draw, "from"), ...ports(draw) })) } : {};
  // Most policies of real people let names be resolved.
  const names = draw.chance(0.8) ? [{ ports: [{ port: 53, protocol: "UDP" }] }] : [];
  const egress = policyTypes.includes("Egress") ? { egress: [...names, ...draw.times(2, () => ({ ...peers(draw, "to"), ...ports(draw) }))] } : {};
  const podSelector = draw.chance(0.3) ? {} : { matchLabels: { app: draw.from(apps[namespace]) } };
  return object("networking.k8s.io/v1", "NetworkPolicy", namespace, name, {
    spec: { podSelector, policyTypes: [...new Set(policyTypes)], ...ingress, ...egress },
  });
}

function peers(draw: Draw, field: "from" | "to"): object {
  if (draw.chance(0.2)) return {};
  const peer = draw.of<() => object>(
    () => ({ podSelector: { matchLabels: { app: draw.from(["web", "front", "api", "old", "tool"]) } } }),
    () => ({ namespaceSelector: { matchLabels: { team: draw.from(isolated) } } }),
    () => ({ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: "tier", operator: draw.of("Exists", "DoesNotExist") }] } }),
    () => ({ ipBlock: { cidr: "10.244.0.0/16", except: [draw.of("10.244.0.0/24", "10.244.1.0/24")] } }),
  );
  return { [field]: [peer()] };
}

function ports(draw: Draw): object {
  if (draw.chance(0.4)) return {};
  return { ports: draw.some([{ port: 8080 }, { port: 9000, endPort: 9010 }, { port: 5300, protocol: "UDP" }, { port: "http" }]) };
}

function destinationRules(draw: Draw, name: (what: string, i: number) => string): readonly KubeObject[] {
  const subsets = [
    { name: "v1", labels: { version: "v1" } },
    { name: "v2", labels: { version: "v2" } },
    { name: "v7", labels: { version: "v7" } },
  ];
  const tls = (): object => ({ tls: { mode: draw.of("DISABLE", "ISTIO_MUTUAL") } });
  const trafficPolicy = (): object =>
    draw.of<object>({}, {}, { trafficPolicy: tls() }, { trafficPolicy: { portLevelSettings: [{ port: { number: draw.of(80, 8080, 9000) }, ...tls() }] } });
  const rule = (namespace: string, host: string, i: number): KubeObject =>
    object("networking.istio.io/v1", "DestinationRule", namespace, name(host, i), { spec: { host, ...trafficPolicy(), subsets } });
  return [rule("alpha", "web", 0), rule("beta", "api", 0), ...(draw.chance(0.2) ? [rule("alpha", "front", 0)] : [])];
}

function virtualService(draw: Draw, name: string, namespace: string, host: string, port: number): KubeObject {
  const http = [...draw.times(3, () => httpRoute(draw, host, port, true)), ...(draw.chance(0.8) ? [httpRoute(draw, host, port, false)] : [])];
  return object("networking.istio.io/v1", "VirtualService", namespace, name, {
    spec: { hosts: [host], http: http.length > 0 ? http : [httpRoute(draw, host, port, false)] },
  });
}

function httpRoute(draw: Draw, host: string, port: number, matching: boolean): object {
  const destination = (subset: string | undefined): object => ({ destination: { host, port: { number: port }, ...(subset === undefined ? {} : { subset }) } });
  const action = draw.of<() => object>(
    () => ({ route: [destination(undefined)] }),
    () => ({ route: [destination(draw.of("v1", "v2"))] }),
    () => ({
      route: [
        { ...destination("v1"), weight: 80 },
        { ...destination("v2"), weight: 20 },
      ],
    }),
    () => ({ route: [destination(draw.of("v7", "v9"))] }),
    () => ({ route: [destination("v1")], rewrite: { uri: draw.of("/public", "/admin") } }),
    () => ({ route: [destination("v2")], headers: { request: { set: { "x-role": draw.of("admin", "guest") } } }, timeout: "3s" }),
    () => ({ route: [destination(undefined)], rewrite: { authority: "web" } }),
    () => ({ directResponse: { status: draw.of(200, 418), body: { string: "told" } } }),
    () => ({ redirect: { uri: "/elsewhere" } }),
  );
  return { ...(matching ? { match: [routeMatch(draw)] } : {}), ...action() };
}

function routeMatch(draw: Draw): object {
  return draw.of<() => object>(
    () => ({ uri: { prefix: draw.of("/public", "/admin") } }),
    () => ({ uri: { exact: draw.of("/front", "/") } }),
    () => ({ uri: { regex: draw.of("/pub.*", "/[a-z]+/1") } }),
    () => ({ uri: { prefix: "/PUBLIC" }, ignoreUriCase: true }),
    () => ({ authority: { exact: draw.of("web", "api.beta:8080") } }),
    () => ({ uri: { prefix: "/public" }, headers: { "x-role": {} } }),
    () => ({ headers: { "end-user": { exact: "jason" } } }),
    () => ({ headers: { "x-role": { regex: "adm.*" } } }),
    () => ({ withoutHeaders: { "x-role": { exact: "admin" } } }),
    () => ({ method: { exact: "POST" } }),
    () => ({ queryParams: { x: { exact: "1" } } }),
    () => ({ sourceLabels: { app: "front" } }),
  )();
}

/** GAMMA: the Gateway API's route for a Service's own clients. */
function serviceRoute(draw: Draw, name: string): KubeObject {
  // No VirtualService is for these: of two that conflict the older wins, and files have no age.
  const parent = draw.of({ name: "front", port: 8080 }, { name: "bare", port: 80 });
  const own = { name: parent.name, port: parent.port };
  const rules = [...draw.times(2, () => ({ matches: [apiMatch(draw)], ...apiAction(draw, own) })), ...(draw.chance(0.7) ? [apiAction(draw, own)] : [])];
  return object("gateway.networking.k8s.io/v1", "HTTPRoute", "alpha", name, {
    spec: { parentRefs: [{ group: "", kind: "Service", ...parent }], rules: rules.length > 0 ? rules : [{ backendRefs: [own] }] },
  });
}

function apiMatch(draw: Draw): object {
  return draw.of<object>(
    { path: { type: "PathPrefix", value: "/public" } },
    { path: { type: "Exact", value: "/front" } },
    { path: { type: "RegularExpression", value: "/(admin|old).*" } },
    { headers: [{ name: "x-role", value: "admin" }] },
    { method: "POST" },
    { queryParams: [{ name: "x", value: "1" }] },
  );
}

function apiAction(draw: Draw, own: object): object {
  // Only a prefix can be replaced.
  const prefix = { path: { type: "PathPrefix", value: draw.of("/public", "/old") } };
  return draw.of<() => object>(
    () => ({ backendRefs: [own] }),
    () => ({
      backendRefs: [
        { ...own, weight: 3 },
        { name: "bare", port: 80, weight: 1 },
      ],
    }),
    () => ({ backendRefs: [{ name: "missing", port: 80 }] }),
    () => ({ backendRefs: [{ name: "api", namespace: "beta", port: 8080 }] }),
    () => ({
      matches: [prefix],
      backendRefs: [own],
      filters: [{ type: "URLRewrite", urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/admin" } } }],
    }),
    () => ({
      backendRefs: [own],
      filters: [{ type: "URLRewrite", urlRewrite: { hostname: "web", path: { type: "ReplaceFullPath", replaceFullPath: "/public/1" } } }],
    }),
    () => ({
      backendRefs: [own],
      filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "x-role", value: "admin" }], remove: ["end-user"] } }],
    }),
    () => ({ filters: [{ type: "RequestRedirect", requestRedirect: { hostname: "elsewhere.example.org", statusCode: 302 } }] }),
  )();
}

/** Istio's own Gateway, for another host. */
function edgeOf(draw: Draw, name: string): readonly KubeObject[] {
  const namespace = draw.of("alpha", "beta");
  const host = namespace === "alpha" ? "web" : "api";
  const port = namespace === "alpha" ? 80 : 8080;
  const http = [httpRoute(draw, host, port, true), httpRoute(draw, host, port, false)];
  return [
    object("networking.istio.io/v1", "Gateway", namespace, name, {
      spec: {
        selector: { istio: "ingressgateway" },
        servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: [draw.of("*.example.com", "*")] }],
      },
    }),
    object("networking.istio.io/v1", "VirtualService", namespace, `${name}-routes`, { spec: { hosts: ["edge.example.com"], gateways: [name], http } }),
  ];
}
