/** Manifests that are wrong, and what must be said about each. */

export interface Refused {
  readonly what: string;
  readonly yaml: string;
  /** The server's whole answer, as kubectl prints it. */
  readonly says: RegExp;
}

const istio = (kind: string, name: string, spec: string, group = "networking"): string =>
  `apiVersion: ${group}.istio.io/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const httpRoute = (name: string, spec: string): string =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

/** Nothing of these is stored. */
export const refused: readonly Refused[] = [
  {
    what: "a field that does not exist",
    yaml: istio("VirtualService", "bad", "{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews } }] }], htp: [] }"),
    says: /unknown field "spec\.htp"/,
  },
  {
    what: "a value of the wrong type",
    yaml: istio("VirtualService", "bad", '{ hosts: [reviews], http: [{ timeout: 5, route: [{ destination: { host: reviews }, weight: "much" }] }] }'),
    says: /spec\.http\[0\]\.(timeout|route\[0\]\.weight): Invalid value/,
  },
  {
    what: "a weight above 100",
    yaml: istio("VirtualService", "bad", "{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews }, weight: 101 }] }] }"),
    says: /spec\.http\[0\]\.route\[0\]\.weight: Invalid value: 101: must be between 0 and 100/,
  },
  {
    what: "a negative weight",
    yaml: istio("VirtualService", "bad", "{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews }, weight: -1 }] }] }"),
    says: /spec\.http\[0\]\.route\[0\]\.weight: Invalid value: -1/,
  },
  {
    what: "weights that are all 0",
    yaml: istio(
      "VirtualService",
      "bad",
      "{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews }, weight: 0 }, { destination: { host: ratings }, weight: 0 }] }] }",
    ),
    says: /spec\.http\[0\]\.route: Invalid value: 0: total destination weight must be greater than 0/,
  },
  {
    what: "an unknown mode",
    yaml: istio("PeerAuthentication", "bad", "{ mtls: { mode: STRICTLY } }", "security"),
    says: /spec\.mtls\.mode: Unsupported value: "STRICTLY": supported values: "UNSET", "DISABLE", "PERMISSIVE", "STRICT"/,
  },
  {
    what: "modes of ports without pods that they are for",
    yaml: istio("PeerAuthentication", "bad", "{ portLevelMtls: { 80: { mode: STRICT } } }", "security"),
    says: /spec: Invalid value: "object": portLevelMtls requires selector/,
  },
  {
    what: "a mode for a port that is none",
    yaml: istio("PeerAuthentication", "bad", "{ selector: { matchLabels: { app: x } }, portLevelMtls: { http: { mode: STRICT } } }", "security"),
    says: /spec\.portLevelMtls: .*got "http"/,
  },
  {
    what: "an unknown action",
    yaml: istio("AuthorizationPolicy", "bad", "{ selector: { matchLabels: { app: none } }, action: MAYBE }", "security"),
    says: /spec\.action: Unsupported value: "MAYBE"/,
  },
  {
    what: "a misspelt field deep inside",
    yaml: istio("AuthorizationPolicy", "bad", "{ selector: { matchLabels: { app: none } }, rules: [{ from: [{ source: { prinicpals: [a] } }] }] }", "security"),
    says: /unknown field "spec\.rules\[0\]\.from\[0\]\.source\.prinicpals"/,
  },
  {
    what: "a path that is not absolute",
    yaml: httpRoute("bad", "{ rules: [{ matches: [{ path: { value: productpage } }] }] }"),
    says: /spec\.rules\[0\]\.matches\[0\]\.path(\.value)?: Invalid value/,
  },
  {
    what: "a name that is none",
    yaml: 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: "Not A Name" }\n',
    says: /metadata\.name: Invalid value: "Not A Name"/,
  },
];

export interface Reported {
  readonly what: string;
  readonly yaml: string;
  /** Of the object, below /apis or /api. */
  readonly path: string;
  readonly condition: string;
  readonly reason: string;
  readonly says: RegExp;
}

const ISTIO = "/apis/networking.istio.io/v1/namespaces/default";
const SECURITY = "/apis/security.istio.io/v1/namespaces/default";
const GATEWAY_API = "/apis/gateway.networking.k8s.io/v1/namespaces/default";

/** These are stored; their status says what is wrong, and requests go on as before. */
export const reported: readonly Reported[] = [
  {
    what: "a VirtualService to a host that does not exist",
    yaml: istio("VirtualService", "to-nobody", "{ hosts: [nobody], http: [{ route: [{ destination: { host: nobody } }] }] }"),
    path: `${ISTIO}/virtualservices/to-nobody`,
    condition: "ResolvedRefs",
    reason: "HostNotFound",
    says: /spec\.hosts\[0\]: "nobody" .* is not a service of the mesh; spec\.http\[0\]\.route\[0\]\.destination\.host: "nobody"/,
  },
  {
    what: "a second VirtualService for a host",
    yaml: istio("VirtualService", "reviews-too", "{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: v2 } }] }] }"),
    path: `${ISTIO}/virtualservices/reviews-too`,
    condition: "Accepted",
    reason: "Conflicted",
    says: /spec\.hosts\[0\]: reviews\.default\.svc\.cluster\.local is steered by VirtualService default\/reviews, which is older; this VirtualService has no effect/,
  },
  {
    what: "a second DestinationRule for a host",
    yaml: istio("DestinationRule", "reviews-too", "{ host: reviews, trafficPolicy: { tls: { mode: DISABLE } } }"),
    path: `${ISTIO}/destinationrules/reviews-too`,
    condition: "Accepted",
    reason: "Conflicted",
    says: /spec\.host: reviews\.default\.svc\.cluster\.local has DestinationRule default\/reviews, which is older/,
  },
  {
    what: "a subset that selects no pod",
    yaml: istio("DestinationRule", "ratings-nobody", "{ host: ratings, subsets: [{ name: v9, labels: { version: v9 } }] }"),
    path: `${ISTIO}/destinationrules/ratings-nobody`,
    condition: "ResolvedRefs",
    reason: "NoMatchingPods",
    says: /spec\.subsets\[0\]\.labels select no pod of ratings\.default\.svc\.cluster\.local \(version=v9\)/,
  },
  {
    what: "an expression that RE2 cannot read",
    yaml: istio(
      "VirtualService",
      "unreadable",
      '{ hosts: [v9.example.org], http: [{ match: [{ uri: { regex: "(a" } }], route: [{ destination: { host: reviews } }] }] }',
    ),
    path: `${ISTIO}/virtualservices/unreadable`,
    condition: "Accepted",
    reason: "Invalid",
    says: /spec\.http\[0\]\.match\[0\]\.uri\.regex cannot be read, so this match holds for no request: /,
  },
  {
    what: "an HTTPRoute to a Service that does not exist",
    yaml: httpRoute("no-backend", "{ parentRefs: [{ name: bookinfo }], hostnames: [a.example.org], rules: [{ backendRefs: [{ name: nobody, port: 80 }] }] }"),
    path: `${GATEWAY_API}/httproutes/no-backend`,
    condition: "ResolvedRefs",
    reason: "BackendNotFound",
    says: /spec\.rules\[0\]\.backendRefs\[0\]: Service default\/nobody does not exist/,
  },
  {
    what: "an HTTPRoute to a port that its Service has not",
    yaml: httpRoute("no-port", "{ parentRefs: [{ name: bookinfo }], hostnames: [b.example.org], rules: [{ backendRefs: [{ name: reviews, port: 81 }] }] }"),
    path: `${GATEWAY_API}/httproutes/no-port`,
    condition: "ResolvedRefs",
    reason: "BackendNotFound",
    says: /Service default\/reviews has no port 81 \(it has 9080\)/,
  },
  {
    what: "an HTTPRoute of a Gateway that does not exist",
    yaml: httpRoute("no-parent", "{ parentRefs: [{ name: nowhere }], rules: [{ backendRefs: [{ name: reviews, port: 9080 }] }] }"),
    path: `${GATEWAY_API}/httproutes/no-parent`,
    condition: "Accepted",
    reason: "NoMatchingParent",
    says: /Gateway default\/nowhere does not exist/,
  },
  {
    what: "an HTTPRoute to another namespace that grants nothing",
    yaml: httpRoute(
      "no-grant",
      "{ parentRefs: [{ name: bookinfo }], hostnames: [c.example.org], rules: [{ backendRefs: [{ name: kube-dns, namespace: kube-system, port: 53 }] }] }",
    ),
    path: `${GATEWAY_API}/httproutes/no-grant`,
    condition: "ResolvedRefs",
    reason: "RefNotPermitted",
    says: /spec\.rules\[0\]\.backendRefs\[0\]: no ReferenceGrant in namespace kube-system lets HTTPRoutes of default name Service kube-dns/,
  },
  {
    what: "a Gateway with a listener that Weft does not serve",
    yaml: "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: { name: udp }\nspec: { gatewayClassName: weft, listeners: [{ name: dns, port: 53, protocol: UDP }] }\n",
    path: `${GATEWAY_API}/gateways/udp`,
    condition: "Accepted",
    reason: "ListenersNotValid",
    says: /spec\.listeners\[0\]\.protocol/,
  },
  {
    what: "a Gateway that no pod serves",
    yaml: istio("Gateway", "nobodys", '{ selector: { istio: nobody }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }] }'),
    path: `${ISTIO}/gateways/nobodys`,
    condition: "ResolvedRefs",
    reason: "NoGatewayPods",
    says: /spec\.selector selects no gateway pod/,
  },
  {
    what: "a second PeerAuthentication for a namespace",
    yaml: `${istio("PeerAuthentication", "first", "{ mtls: { mode: PERMISSIVE } }", "security")}---\n${istio("PeerAuthentication", "second", "{ mtls: { mode: STRICT } }", "security")}`,
    path: `${SECURITY}/peerauthentications/second`,
    condition: "Accepted",
    reason: "Conflicted",
    says: /PeerAuthentication default\/first is older and rules namespace default/,
  },
];
