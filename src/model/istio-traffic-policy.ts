/** DestinationRule's trafficPolicy. */
import { onlyOneOf, period } from "./istio-rules.ts";
import { bool, double, duration, having, int32, list, mapOf, oneOfTexts, struct, text, uint32 } from "./schema.ts";

export const istioPort = having(uint32, { minimum: 0, maximum: 65535 });

const tlsOrigination = struct(
  {},
  {
    mode: oneOfTexts("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"),
    clientCertificate: text,
    privateKey: text,
    caCertificates: text,
    credentialName: text,
    subjectAltNames: list(text),
    sni: text,
    insecureSkipVerify: having(bool, { nullable: true }),
    caCrl: text,
  },
);

const connectionPool = struct(
  {},
  {
    tcp: struct(
      {},
      {
        maxConnections: int32,
        connectTimeout: period,
        tcpKeepalive: struct({}, { probes: uint32, time: period, interval: period }),
        maxConnectionDuration: period,
        idleTimeout: duration,
      },
    ),
    http: struct(
      {},
      {
        http1MaxPendingRequests: int32,
        http2MaxRequests: int32,
        maxRequestsPerConnection: int32,
        maxRetries: int32,
        idleTimeout: period,
        h2UpgradePolicy: oneOfTexts("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"),
        useClientProtocol: bool,
        maxConcurrentStreams: int32,
        http2KeepAlive: struct({}, { interval: period, timeout: period }),
      },
    ),
  },
);

const failover = list(struct({}, { from: text, to: text }));
const loadBalancer = struct(
  {},
  {
    simple: oneOfTexts("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"),
    consistentHash: struct(
      {},
      {
        httpHeaderName: text,
        httpCookie: struct({ name: text }, { path: text, ttl: duration, attributes: list(struct({ name: text }, { value: text })) }),
        useSourceIp: bool,
        httpQueryParameterName: text,
        ringHash: struct({}, { minimumRingSize: having(uint32, { minimum: 0 }) }),
        maglev: struct({}, { tableSize: having(uint32, { minimum: 0 }) }),
        minimumRingSize: having(uint32, { minimum: 0 }),
      },
      {
        rules: [onlyOneOf("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName")],
      },
    ),
    backendUtilization: struct(
      {},
      {
        errorUtilizationPenaltyPercent: uint32,
        metricNamesForComputingUtilization: list(text),
        weightExpirationPeriod: duration,
        weightStabilizationPeriod: duration,
        weightUpdatePeriod: duration,
      },
    ),
    localityLbSetting: struct(
      {},
      {
        distribute: list(struct({}, { from: text, to: mapOf(uint32) })),
        failover,
        failoverPriority: list(text),
        enabled: having(bool, { nullable: true }),
      },
    ),
    zoneAwareLbSetting: struct(
      {},
      { enabled: having(bool, { nullable: true }), failover, failoverPriority: list(text), minClusterSize: having(uint32, { minimum: 1, nullable: true }) },
    ),
    warmup: struct(
      { duration: period },
      { aggression: having(double, { minimum: 0, nullable: true }), minimumPercent: having(double, { minimum: 0, maximum: 100, nullable: true }) },
    ),
    warmupDurationSecs: period,
  },
  { oneOf: { fields: ["simple", "consistentHash", "backendUtilization"] } },
);

const outlierDetection = struct(
  {},
  {
    consecutiveErrors: int32,
    splitExternalLocalOriginErrors: bool,
    consecutiveLocalOriginFailures: having(uint32, { nullable: true }),
    consecutiveGatewayErrors: having(uint32, { nullable: true }),
    consecutive5xxErrors: having(uint32, { nullable: true }),
    outlierDetectionHttpErrorCodes: list(having(int32, { minimum: 100, maximum: 599 })),
    interval: period,
    baseEjectionTime: period,
    maxEjectionPercent: int32,
    minHealthPercent: int32,
  },
);

const portTraffic = { connectionPool, loadBalancer, outlierDetection, tls: tlsOrigination };
export const trafficPolicy = struct(
  {},
  {
    ...portTraffic,
    portLevelSettings: list(struct({}, { ...portTraffic, port: struct({}, { number: istioPort }) }), { maxItems: 4096 }),
    tunnel: struct({ targetHost: text, targetPort: istioPort }, { protocol: text }),
    proxyProtocol: struct({}, { version: oneOfTexts("V1", "V2") }),
    retryBudget: struct({}, { percent: having(double, { minimum: 0, maximum: 100, nullable: true }), minRetryConcurrency: uint32, budgetInterval: duration }),
  },
);
