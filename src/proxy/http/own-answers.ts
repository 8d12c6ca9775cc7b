/** What the proxy itself answers, and how it says why: status and texts as Envoy's, causes with the objects they come from. */
import { HeaderBlock } from "#wire/http/header-block.ts";
import { CONTENT_TYPE, LOCATION } from "#wire/http/names.ts";
import type { ConnectFailure } from "#proxy/upstream/endpoint.ts";
import type { RouteEntry } from "#decide/route/route-table.ts";
import { FLAG, resetText } from "./flags.ts";
import { OVERLOADED, WHY } from "./names.ts";

export interface OwnAnswer {
  readonly status: number;
  readonly body: string;
  /** Envoy's response_code_details. */
  readonly details: string;
  readonly flags?: string;
  /** For x-weft-why. */
  readonly why?: string | undefined;
  readonly location?: string;
  readonly overloaded?: boolean;
}

/** The cluster or endpoint that an answer is about. */
interface Named {
  readonly name: string;
  readonly by: string | undefined;
}

interface TriedEndpoint {
  readonly text: string;
  /** Name of its cluster. */
  readonly cluster: string;
  readonly retried: boolean;
}

export const PATH_REFUSED: OwnAnswer = { status: 400, body: "", details: "path_normalization_failed" };
/** `OPTIONS *`, say: no route can take it. */
export const PATH_NOT_RELATIVE: OwnAnswer = { status: 404, body: "", details: "absolute_path_rejected" };
export const UPGRADE_REFUSED: OwnAnswer = { status: 403, body: "", details: "upgrade_failed" };

export function denied(denial: { readonly details: string; readonly why: string | undefined }): OwnAnswer {
  return { status: 403, body: "RBAC: access denied", details: denial.details, why: denial.why };
}

export function faultAborted(status: number): OwnAnswer {
  return { status, body: "fault filter abort", details: "fault_filter_abort", flags: FLAG.faultInjected };
}

export function noRoute(table: string, asked: string): OwnAnswer {
  return { status: 404, body: "", details: "route_not_found", flags: FLAG.noRoute, why: `no route of "${table}" takes ${asked}` };
}

export function noCluster(status: number, name: string, { by }: RouteEntry): OwnAnswer {
  return { status, body: "", details: "cluster_not_found", flags: FLAG.noCluster, why: `there is no cluster "${name}"${origin(by)}` };
}

export function noHealthyUpstream({ name, by }: Named): OwnAnswer {
  return {
    status: 503,
    body: "no healthy upstream",
    details: "no_healthy_upstream",
    flags: FLAG.noHealthyUpstream,
    why: `cluster "${name}" has no healthy endpoint${origin(by)}`,
  };
}

function origin(by: string | undefined): string {
  return by === undefined ? "" : ` (${by})`;
}

export function overflow(detail: string, retried: boolean): OwnAnswer {
  return {
    status: 503,
    body: resetText("overflow", retried),
    details: "upstream_reset_before_response_started{overflow}",
    flags: FLAG.upstreamOverflow,
    overloaded: true,
    why: detail,
  };
}

export function notConnected(endpoint: TriedEndpoint, failure: ConnectFailure): OwnAnswer {
  const reason = failure.kind === "timeout" ? "connection timeout" : "remote connection failure";
  return {
    status: 503,
    body: resetText(reason, endpoint.retried),
    details: `upstream_reset_before_response_started{${`${reason}${failure.kind === "timeout" ? "" : `|${failure.detail}`}`.replaceAll(" ", "_")}}`,
    flags: FLAG.upstreamConnectionFailure,
    why: `no connection to ${endpoint.text} of cluster "${endpoint.cluster}": ${failure.detail}`,
  };
}

export function endedBeforeAnswer(endpoint: TriedEndpoint, failure: { readonly isProtocol: boolean; readonly detail: string }): OwnAnswer {
  const reason = failure.isProtocol ? "protocol error" : "connection termination";
  return {
    status: failure.isProtocol ? 502 : 503,
    body: resetText(reason, endpoint.retried),
    details: `upstream_reset_before_response_started{${reason.replace(" ", "_")}}`,
    flags: failure.isProtocol ? FLAG.upstreamProtocolError : FLAG.upstreamConnectionTermination,
    why: `${endpoint.text} ended the connection before it answered${failure.isProtocol ? `: ${failure.detail}` : ""}`,
  };
}

export function notAnsweredInTime(who: string, timeoutMs: number, ofTry: boolean): OwnAnswer {
  return {
    status: 504,
    body: "upstream request timeout",
    details: ofTry ? "upstream_per_try_timeout" : "response_timeout",
    flags: FLAG.upstreamTimeout,
    why: `${who} did not answer within ${timeoutMs} ms`,
  };
}

export function headersOf(answer: OwnAnswer, saysWhy: boolean): HeaderBlock {
  const headers = new HeaderBlock();
  if (answer.location !== undefined) headers.add(LOCATION, answer.location);
  if (answer.body !== "") headers.add(CONTENT_TYPE, "text/plain");
  if (answer.overloaded === true) headers.add(OVERLOADED, "true");
  // A header value of ours may quote names from the configuration.
  if (answer.why !== undefined && saysWhy) headers.add(WHY, answer.why.replace(/[^\x20-\x7e]/g, "?"));
  return headers;
}

/** What is left of the time of a whole exchange, or the time of one try when that is less; 0: there is no limit. */
export function timeLeftMs(timeoutMs: number, perTryMs: number, spentMs: number): number {
  const left = timeoutMs > 0 ? Math.max(1, Math.round(timeoutMs - spentMs)) : 0;
  return perTryMs > 0 && (left === 0 || perTryMs < left) ? perTryMs : left;
}
