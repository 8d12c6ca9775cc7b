/** envoy.config.route.v3.RetryPolicy: whether what happened is worth another try. How often and when is told by the caller's state. */
import type { RetryPolicy } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";

/** How one try ended. */
export type Outcome =
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "connect-failure" }
  /** `requestSent`: bytes of the request had left. */
  | { readonly kind: "reset"; readonly requestSent: boolean }
  | { readonly kind: "timeout" };

export interface Retry {
  readonly maxRetries: number;
  readonly perTryTimeoutMs: number | undefined;
  readonly backOffBaseMs: number;
  readonly backOffMaxMs: number;
  wants(outcome: Outcome): boolean;
}

const KNOWN = new Set([
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "envoy-ratelimited",
]);
/** Conditions about gRPC statuses: an HTTP/1.1 upstream has none, so they never hold. */
const GRPC = new Set(["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"]);
/** Envoy's default. */
const BACK_OFF_MS = 25;

export function compileRetry(policy: RetryPolicy, path: string): Retry | undefined {
  const on = new Set(
    policy.retryOn
      .split(",")
      .map((condition) => condition.trim())
      .filter((condition) => condition !== ""),
  );
  for (const condition of on)
    if (!KNOWN.has(condition) && !GRPC.has(condition)) throw new ConfigProblem(`${path}.retry_on`, `"${condition}": ${NOT_SUPPORTED}`);
  if (on.size === 0) return undefined;
  const statuses = new Set(policy.retriableStatusCodes);
  const ms = (duration: { seconds: bigint; nanos: number } | undefined): number | undefined =>
    duration === undefined ? undefined : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  const base = ms(policy.retryBackOff?.baseInterval) ?? BACK_OFF_MS;
  return {
    maxRetries: policy.numRetries ?? 1,
    perTryTimeoutMs: ms(policy.perTryTimeout),
    backOffBaseMs: base,
    backOffMaxMs: ms(policy.retryBackOff?.maxInterval) ?? base * 10,
    wants(outcome) {
      switch (outcome.kind) {
        case "status":
          if (on.has("5xx") && outcome.status >= 500) return true;
          if (on.has("gateway-error") && outcome.status >= 502 && outcome.status <= 504) return true;
          if (on.has("retriable-4xx") && outcome.status === 409) return true;
          return on.has("retriable-status-codes") && statuses.has(outcome.status);
        case "connect-failure":
          return on.has("connect-failure") || on.has("5xx") || on.has("gateway-error") || on.has("reset") || on.has("reset-before-request");
        case "reset":
          if (on.has("reset") || on.has("5xx") || on.has("gateway-error")) return true;
          return on.has("reset-before-request") && !outcome.requestSent;
        case "timeout":
          return on.has("5xx") || on.has("gateway-error") || on.has("reset");
      }
    },
  };
}

/** Fully jittered exponential back-off; `attempt` counts from 1, `random` in [0, 1). */
export function backOffMs(retry: Retry, attempt: number, random: number): number {
  return random * Math.min(retry.backOffMaxMs, (2 ** attempt - 1) * retry.backOffBaseMs);
}
