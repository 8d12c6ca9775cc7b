/** Answers of the upstream, kept for their time to live. */
import type { Clock } from "#host/clock.ts";
import { RCODES, type ResourceRecord } from "#wire/dns/message.ts";
import type { Answer, Query } from "#decide/name/query.ts";
import type { Handler } from "./query.ts";

const MAX_ENTRIES = 10_000;
/** RFC 2308: how long NXDOMAIN and NODATA may be kept when the SOA allows more. */
const MAX_SECONDS = 300;

interface Entry {
  readonly answer: Answer;
  readonly storedMs: number;
  readonly untilMs: number;
}

/** A handler that asks `next` only for what it does not know. */
export function cached(clock: Clock, next: Handler): Handler {
  const entries = new Map<string, Entry>();
  return async (query: Query) => {
    const key = `${query.type} ${query.key}`;
    const now = clock.monotonic();
    const entry = entries.get(key);
    if (entry !== undefined && entry.untilMs > now) return aged(entry.answer, Math.floor((now - entry.storedMs) / 1000));
    const answer = await next(query);
    if (answer === undefined) return undefined;
    const seconds = keepFor(answer);
    entries.delete(key);
    if (seconds > 0) entries.set(key, { answer, storedMs: now, untilMs: now + seconds * 1000 });
    // The oldest goes first: a Map keeps the order of insertion.
    const oldest = entries.size > MAX_ENTRIES ? entries.keys().next().value : undefined;
    if (oldest !== undefined) entries.delete(oldest);
    return answer;
  };
}

function keepFor(answer: Answer): number {
  if (answer.rcode !== RCODES.NOERROR && answer.rcode !== RCODES.NXDOMAIN) return 0;
  const seconds = [...answer.answers, ...answer.authorities].map((record) =>
    record.data.type === "SOA" ? Math.min(record.ttlSeconds, record.data.minimum) : record.ttlSeconds,
  );
  return seconds.length === 0 ? 0 : Math.min(MAX_SECONDS, ...seconds);
}

function aged(answer: Answer, seconds: number): Answer {
  const older = (records: readonly ResourceRecord[]) => records.map((record) => ({ ...record, ttlSeconds: Math.max(0, record.ttlSeconds - seconds) }));
  return { ...answer, answers: older(answer.answers), authorities: older(answer.authorities), additionals: older(answer.additionals) };
}
