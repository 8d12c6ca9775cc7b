/** Headers that the connection manager and the router read or write. */
import { headerName } from "#wire/http/header-name.ts";

export const FORWARDED_FOR = headerName("x-forwarded-for");
export const FORWARDED_PROTO = headerName("x-forwarded-proto");
export const FORWARDED_HOST = headerName("x-forwarded-host");
export const REQUEST_ID = headerName("x-request-id");
export const EXTERNAL_ADDRESS = headerName("x-envoy-external-address");
export const INTERNAL = headerName("x-envoy-internal");
export const ORIGINAL_PATH = headerName("x-envoy-original-path");
export const ORIGINAL_HOST = headerName("x-envoy-original-host");
export const EXPECTED_TIMEOUT = headerName("x-envoy-expected-rq-timeout-ms");
export const ATTEMPT_COUNT = headerName("x-envoy-attempt-count");
export const SERVICE_TIME = headerName("x-envoy-upstream-service-time");
export const OVERLOADED = headerName("x-envoy-overloaded");
export const WHY = headerName("x-weft-why");
/** Only an internal client may set these: they change how a router works. */
export const INTERNAL_ONLY = [
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-max-retries",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-ip-tags",
  "x-envoy-original-url",
  "x-envoy-hedge-on-per-try-timeout",
].map(headerName);
/** What a client at the edge may not say of itself. */
export const EDGE_REMOVED = ["x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node"].map(headerName);
