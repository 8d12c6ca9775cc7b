/** What of all that was said must not have happened. */
import type { Attempts, Said } from "./said.ts";

/** How long what a pod said last counts as what it says now. */
const FRESH_MS = 6000;
/** A stream that is served has an echo each 100 ms. */
const SERVED_WITHIN_MS = 2000;
/** A request each 100 ms, and one that is slow. */
const ANSWERED_WITHIN_MS = 4000;
const NEVER: Attempts = { tried: 0, connected: 0, echoed: 0 };

export interface Evidence {
  /** By pod, "namespace/name": what it said before the fault, and since. */
  readonly before: ReadonlyMap<string, Said>;
  readonly since: ReadonlyMap<string, readonly Said[]>;
  /** The node that died: what was there, and connections to it, may end. */
  readonly lost: string | undefined;
  /** Nothing that lives may be silent for longer. */
  readonly quietMs: number;
  /** So many requests may fail of who has no part in keeping them: who asks from outside the cluster. */
  readonly mayFail: (pod: string) => number;
  /** A connection, even without an echo, is more than this intruder may get. */
  readonly mayNotConnect: (pod: string, host: string) => boolean;
}

/** A line each. */
export function broken(evidence: Evidence): readonly string[] {
  return [...evidence.since].flatMap(([pod, lines]) => {
    if (lines.length === 0) return [`${pod} has said nothing since`];
    return [...leaks(evidence, pod, lines), ...(isOn(evidence.lost, pod) ? [] : interruptions(evidence, pod, lines))];
  });
}

/** Everybody who may ask has an answer now. */
export function isServed(said: readonly Said[]): boolean {
  return said.every(
    ({ at, streams, http }) =>
      Date.now() - Date.parse(at) < FRESH_MS &&
      Object.values(streams).every(({ quietMs, echoes }) => echoes > 0 && quietMs < SERVED_WITHIN_MS) &&
      Object.values(http).every(({ answeredAt }) => Date.parse(at) - Date.parse(answeredAt) < ANSWERED_WITHIN_MS),
  );
}

/** "faults-mesh/asks-n2", "guarded-n2.faults-mesh.svc.cluster.local". */
function isOn(node: string | undefined, name: string): boolean {
  return node !== undefined && name.split(".", 1)[0]?.endsWith(`-${node}`) === true;
}

function interruptions({ before, lost, quietMs, mayFail }: Evidence, pod: string, lines: readonly Said[]): readonly string[] {
  const then = before.get(pod);
  const now = lines.at(-1);
  if (then === undefined || now === undefined) return [`${pod} had said nothing before`];
  if (now.startedAt !== then.startedAt) return [`${pod} was started again at ${now.startedAt}`];
  const streams = Object.entries(now.streams).flatMap(([host, { opened, echoes, ended }]) => {
    if (isOn(lost, host)) return [];
    const former = then.streams[host];
    if (opened !== former?.opened) return [`${pod}: its connection to ${host} ended: ${ended}`];
    const quiet = Math.max(...lines.map(({ streams: each }) => each[host]?.quietMs ?? 0));
    if (quiet > quietMs) return [`${pod}: ${host} was silent for ${quiet} ms`];
    return echoes > former.echoes ? [] : [`${pod}: ${host} echoed nothing`];
  });
  const http = Object.entries(now.http).flatMap(([host, { answered, failed, failure }]) => {
    if (isOn(lost, host)) return [];
    const more = failed - (then.http[host]?.failed ?? 0);
    if (more > mayFail(pod)) return [`${pod}: ${more} requests to ${host} failed, at last: ${failure}`];
    return answered > (then.http[host]?.answered ?? 0) ? [] : [`${pod}: ${host} answered no request`];
  });
  return [...streams, ...http];
}

function leaks({ before, mayNotConnect }: Evidence, pod: string, lines: readonly Said[]): readonly string[] {
  const then = before.get(pod);
  // Of each process that was: a new one counts from nothing.
  const last = [...new Map(lines.map((line) => [line.startedAt, line])).values()];
  return Object.keys(lines.at(-1)?.attempts ?? {}).flatMap((host) => {
    const growth = last.map((line) => {
      const now = line.attempts[host] ?? NEVER;
      const former = (line.startedAt === then?.startedAt ? then.attempts[host] : undefined) ?? NEVER;
      return { ...now, tried: now.tried - former.tried, connected: now.connected - former.connected, echoed: now.echoed - former.echoed };
    });
    const through = growth.find(({ echoed }) => echoed > 0);
    if (through !== undefined) return [`${pod} got through to ${host} ${through.echoed} times, at last at ${through.echoedAt ?? "?"}`];
    const connected = mayNotConnect(pod, host) ? growth.find((each) => each.connected > 0) : undefined;
    if (connected !== undefined) return [`${pod} was connected to ${host} ${connected.connected} times, at last at ${connected.connectedAt ?? "?"}`];
    return growth.some(({ tried }) => tried > 0) ? [] : [`${pod} did not try ${host}: nothing was shown`];
  });
}
