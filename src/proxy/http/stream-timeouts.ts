/** How long a request may take to arrive, and how long it may stand still (request_timeout, stream_idle_timeout, idle_timeout). */
import type { ConnectionManager } from "./connection-manager.ts";
import { FLAG } from "./flags.ts";
import type { OwnAnswer } from "./own-answers.ts";

export interface TimedStream {
  readonly requestWhole: boolean;
  readonly startedAtMs: number;
  /** Something of it moved last. */
  readonly activeAtMs: number;
  /** Of its route; undefined: the connection manager's. */
  readonly idleTimeoutMs: number | undefined;
}

type Limits = Pick<ConnectionManager, "requestTimeoutMs" | "streamIdleTimeoutMs">;

/** Until the first of its limits; Infinity: it has none. */
export function timeLeftMs(stream: TimedStream, limits: Limits, nowMs: number): number {
  return Math.min(movesIn(stream, limits, nowMs), arrivesIn(stream, limits, nowMs));
}

function movesIn(stream: TimedStream, { streamIdleTimeoutMs }: Limits, nowMs: number): number {
  const idleMs = stream.idleTimeoutMs ?? streamIdleTimeoutMs;
  return idleMs > 0 ? stream.activeAtMs + idleMs - nowMs : Infinity;
}

function arrivesIn(stream: TimedStream, { requestTimeoutMs }: Limits, nowMs: number): number {
  return requestTimeoutMs > 0 && !stream.requestWhole ? stream.startedAtMs + requestTimeoutMs - nowMs : Infinity;
}

/** Envoy's words: who is still sending was too slow (408), else the upstream was (504). The limit that came first counts. */
export function timedOut(stream: TimedStream, limits: Limits, nowMs: number): OwnAnswer & { readonly stat: "rqTimeout" | "rqIdleTimeout" } {
  if (arrivesIn(stream, limits, nowMs) < movesIn(stream, limits, nowMs))
    return { status: 408, body: "request timeout", details: "request_overall_timeout", stat: "rqTimeout" };
  const status = stream.requestWhole ? 504 : 408;
  return { status, body: "stream timeout", details: "stream_idle_timeout", flags: FLAG.streamIdleTimeout, stat: "rqIdleTimeout" };
}

/** How often a connection must look at the clock at least. */
export function lookEveryMs(limits: Limits & Pick<ConnectionManager, "idleTimeoutMs">): number {
  return Math.min(...[limits.idleTimeoutMs, limits.requestTimeoutMs, limits.streamIdleTimeoutMs].filter((ms) => ms > 0));
}
