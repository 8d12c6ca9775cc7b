/** envoy.filters.http.fault: a fixed delay, an answer instead of the upstream's; for a share of the requests. */
import type { HTTPFault } from "#wire/envoy/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";
import { fractionOf } from "#decide/match/fraction.ts";
import { compileHeaders, type RequestTest } from "#decide/match/header-match.ts";
import { durationMs } from "#proxy/config/durations.ts";

export interface FaultFilter {
  readonly applies: RequestTest | undefined;
  readonly delayMs: number;
  readonly delayShare: number;
  readonly abortStatus: number;
  readonly abortShare: number;
}

export function compileFault(config: HTTPFault, path: string): FaultFilter {
  const delay = config.delay?.faultDelaySecifier;
  const abort = config.abort?.errorType;
  if (delay?.case === undefined && config.delay !== undefined) throw new ConfigProblem(`${path}.delay`, "needs fixed_delay");
  return {
    applies: compileHeaders(config.headers, `${path}.headers`),
    delayMs: delay?.case === "fixedDelay" ? (durationMs(delay.value) ?? 0) : 0,
    delayShare: fractionOf(config.delay?.percentage),
    abortStatus: abort?.case === "httpStatus" ? abort.value : 503,
    abortShare: fractionOf(config.abort?.percentage),
  };
}
