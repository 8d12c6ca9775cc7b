/** networking.istio.io and security.istio.io: all fields that users may write; what Weft does not do with them is said on the object's status. */
import {
  accountsAlone,
  labelKeysWithoutWildcards,
  noOtherNamespace,
  noWildcard,
  oneWayToSelect,
  onlyOneOf,
  period,
  portKeys,
  portLevelNeedsSelector,
} from "./istio-rules.ts";
import { istioPort as port, trafficPolicy } from "./istio-traffic-policy.ts";
import type { KubeObject } from "./object.ts";
import { bool, bytes, double, having, int32, intOrString, list, mapOf, oneOfTexts, struct, text, time, uint32, type Static } from "./schema.ts";

const percent = struct({}, { value: double });

/** exact, prefix or regex. */
export const stringMatch = struct({}, { exact: text, prefix: text, regex: text }, { oneOf: { fields: ["exact", "prefix", "regex"] } });
export type StringMatch = Static<typeof stringMatch>;

const selectorLabels = mapOf(having(text, { maxLength: 63, rules: [noWildcard] }), { maxProperties: 4096, rules: [labelKeysWithoutWildcards] });
const workloadSelector = struct({}, { matchLabels: selectorLabels });

/** Same for every Istio kind; unknown fields are kept. */
export const istioStatus = struct(
  {},
  {
    conditions: list(
      struct(
        {},
        { type: text, status: text, lastProbeTime: time, lastTransitionTime: time, reason: text, message: text, observedGeneration: intOrString },
        { preserveUnknown: true },
      ),
    ),
    observedGeneration: intOrString,
    validationMessages: list(
      struct(
        {},
        { documentationUrl: text, level: oneOfTexts("UNKNOWN", "ERROR", "WARNING", "INFO"), type: struct({}, { code: text, name: text }) },
        { preserveUnknown: true },
      ),
    ),
  },
  { preserveUnknown: true },
);
export type IstioStatus = Static<typeof istioStatus>;

const destination = struct({ host: text }, { subset: text, port: struct({}, { number: port }) });
export type Destination = Static<typeof destination>;
const headerChange = struct({}, { set: mapOf(text), add: mapOf(text), remove: list(text) });
const headers = struct({}, { request: headerChange, response: headerChange });
/** Istio checks the sum when it compiles; a single weight outside 0..100 is refused at once. */
const weight = having(int32, { minimum: 0, maximum: 100 });

export const httpMatch = struct(
  {},
  {
    name: text,
    uri: stringMatch,
    scheme: stringMatch,
    method: stringMatch,
    authority: stringMatch,
    headers: mapOf(stringMatch),
    port,
    sourceLabels: mapOf(text),
    gateways: list(text),
    queryParams: mapOf(stringMatch),
    ignoreUriCase: bool,
    withoutHeaders: mapOf(stringMatch),
    sourceNamespace: text,
    statPrefix: text,
  },
);
export type HttpMatch = Static<typeof httpMatch>;

const httpRouteDestination = struct({ destination }, { weight, headers });
const routeDestination = struct({ destination }, { weight });

const fault = struct(
  {},
  {
    delay: struct(
      {},
      { percent: int32, fixedDelay: period, exponentialDelay: period, percentage: percent },
      { oneOf: { fields: ["fixedDelay", "exponentialDelay"] } },
    ),
    abort: struct(
      {},
      { httpStatus: int32, grpcStatus: text, http2Error: text, percentage: percent },
      { oneOf: { fields: ["httpStatus", "grpcStatus", "http2Error"] } },
    ),
  },
);

const corsPolicy = struct(
  {},
  {
    allowOrigin: list(text),
    allowOrigins: list(stringMatch),
    allowMethods: list(text),
    allowHeaders: list(text),
    exposeHeaders: list(text),
    maxAge: period,
    allowCredentials: having(bool, { nullable: true }),
    unmatchedPreflights: oneOfTexts("UNSPECIFIED", "FORWARD", "IGNORE"),
  },
);

const retries = struct(
  {},
  {
    attempts: int32,
    perTryTimeout: period,
    retryOn: text,
    retryRemoteLocalities: having(bool, { nullable: true }),
    retryIgnorePreviousHosts: having(bool, { nullable: true }),
    backoff: period,
  },
);

const redirect = struct(
  {},
  {
    uri: text,
    authority: text,
    port,
    derivePort: oneOfTexts("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"),
    scheme: text,
    redirectCode: uint32,
    prefixRewrite: text,
  },
  { oneOf: { fields: ["port", "derivePort"] } },
);

export const httpRoute = struct(
  {},
  {
    name: text,
    match: list(httpMatch),
    route: list(httpRouteDestination),
    redirect,
    directResponse: struct({ status: uint32 }, { body: struct({}, { string: text, bytes }, { oneOf: { fields: ["string", "bytes"] } }) }),
    delegate: struct({}, { name: text, namespace: text }),
    rewrite: struct({}, { uri: text, authority: text, uriRegexRewrite: struct({}, { match: text, rewrite: text }) }),
    timeout: period,
    retries,
    fault,
    mirror: destination,
    mirrors: list(struct({ destination }, { percentage: percent })),
    mirrorPercent: having(uint32, { nullable: true }),
    mirror_percent: having(uint32, { nullable: true }),
    mirrorPercentage: percent,
    corsPolicy,
    headers,
  },
);
export type VirtualServiceHttpRoute = Static<typeof httpRoute>;

const l4Match = { destinationSubnets: list(text), port, sourceLabels: mapOf(text), gateways: list(text), sourceNamespace: text };
export const virtualServiceSpec = struct(
  {},
  {
    hosts: list(text),
    gateways: list(text),
    http: list(httpRoute),
    tls: list(struct({ match: list(struct({ sniHosts: list(text) }, l4Match)) }, { route: list(routeDestination) })),
    tcp: list(struct({}, { match: list(struct({}, { ...l4Match, sourceSubnet: text })), route: list(routeDestination) })),
    exportTo: list(text),
  },
);
export interface VirtualService extends KubeObject {
  readonly spec: Static<typeof virtualServiceSpec>;
  readonly status?: IstioStatus;
}

export const destinationRuleSpec = struct(
  { host: text },
  {
    trafficPolicy,
    subsets: list(struct({ name: text }, { labels: mapOf(text), trafficPolicy })),
    exportTo: list(text),
    workloadSelector,
  },
);
export interface DestinationRule extends KubeObject {
  readonly spec: Static<typeof destinationRuleSpec>;
  readonly status?: IstioStatus;
}

const tlsVersion = oneOfTexts("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3");
const serverTls = struct(
  {},
  {
    httpsRedirect: bool,
    mode: oneOfTexts("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"),
    serverCertificate: text,
    privateKey: text,
    caCertificates: text,
    caCrl: text,
    caCertCredentialName: text,
    credentialName: text,
    credentialNames: list(text, { minItems: 1, maxItems: 2 }),
    tlsCertificates: list(struct({}, { serverCertificate: text, privateKey: text, caCertificates: text }), { minItems: 1, maxItems: 2 }),
    subjectAltNames: list(text),
    verifyCertificateSpki: list(text),
    verifyCertificateHash: list(text),
    minProtocolVersion: tlsVersion,
    maxProtocolVersion: tlsVersion,
    cipherSuites: list(text),
    ecdhCurves: list(text),
    insecureSkipVerify: having(bool, { nullable: true }),
  },
  { rules: [onlyOneOf("credentialName", "credentialNames", "tlsCertificates")] },
);

export const istioGatewaySpec = struct(
  {},
  {
    servers: list(
      struct(
        { port: struct({ number: port, protocol: text, name: text }, { targetPort: port }), hosts: list(text) },
        { bind: text, tls: serverTls, defaultEndpoint: text, name: text },
      ),
    ),
    selector: mapOf(text),
  },
);
export interface IstioGateway extends KubeObject {
  readonly spec: Static<typeof istioGatewaySpec>;
  readonly status?: IstioStatus;
}

const mtls = struct({}, { mode: oneOfTexts("UNSET", "DISABLE", "PERMISSIVE", "STRICT") });
export const peerAuthenticationSpec = struct(
  {},
  { selector: workloadSelector, mtls, portLevelMtls: mapOf(mtls, { rules: [portKeys] }) },
  { rules: [portLevelNeedsSelector] },
);
export interface PeerAuthentication extends KubeObject {
  readonly spec?: Static<typeof peerAuthenticationSpec>;
  readonly status?: IstioStatus;
}

const groupName = having(text, { maxLength: 253, pattern: /^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/ });
const targetRef = struct(
  {
    kind: having(text, { minLength: 1, maxLength: 63, pattern: /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/ }),
    name: having(text, { minLength: 1, maxLength: 253 }),
  },
  { group: groupName, namespace: having(text, { rules: [noOtherNamespace] }) },
);
const accounts = list(having(text, { maxLength: 320 }), { maxItems: 16 });

export const authorizationPolicySpec = struct(
  {},
  {
    selector: workloadSelector,
    targetRef,
    targetRefs: list(targetRef, { maxItems: 16 }),
    rules: list(
      struct(
        {},
        {
          from: list(
            struct(
              {},
              {
                source: struct(
                  {},
                  {
                    principals: list(text),
                    notPrincipals: list(text),
                    requestPrincipals: list(text),
                    notRequestPrincipals: list(text),
                    namespaces: list(text),
                    notNamespaces: list(text),
                    serviceAccounts: accounts,
                    notServiceAccounts: accounts,
                    ipBlocks: list(text),
                    notIpBlocks: list(text),
                    remoteIpBlocks: list(text),
                    notRemoteIpBlocks: list(text),
                    trustDomains: list(text),
                    notTrustDomains: list(text),
                  },
                  { rules: [accountsAlone] },
                ),
              },
            ),
            { maxItems: 512 },
          ),
          to: list(
            struct(
              {},
              {
                operation: struct(
                  {},
                  {
                    hosts: list(text),
                    notHosts: list(text),
                    ports: list(text),
                    notPorts: list(text),
                    methods: list(text),
                    notMethods: list(text),
                    paths: list(text),
                    notPaths: list(text),
                  },
                ),
              },
            ),
          ),
          when: list(struct({ key: text }, { values: list(text), notValues: list(text) })),
        },
      ),
      { maxItems: 512 },
    ),
    action: oneOfTexts("ALLOW", "DENY", "AUDIT", "CUSTOM"),
    provider: struct({}, { name: text }),
  },
  { rules: [oneWayToSelect] },
);
export interface AuthorizationPolicy extends KubeObject {
  readonly spec?: Static<typeof authorizationPolicySpec>;
  readonly status?: IstioStatus;
}
