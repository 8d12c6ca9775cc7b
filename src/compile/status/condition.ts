/** Conditions without times: the same World gives the same status. Whoever writes them adds when they last changed. */

export interface PlainCondition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

export function holds(type: string, reason: string = type, message = ""): PlainCondition {
  return { type, status: "True", reason, message };
}

export function fails(type: string, reason: string, message: string): PlainCondition {
  return { type, status: "False", reason, message };
}

interface TimedCondition extends PlainCondition {
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

/** With the time of the old condition where its status stands, else with `now`. Walks any status for its `conditions`. */
export function withTimes<T>(status: T, old: unknown, now: string, generation: number | undefined): T {
  return timed(status, old, now, generation) as T;
}

function timed(value: unknown, old: unknown, now: string, generation: number | undefined): unknown {
  if (Array.isArray(value))
    return value.map((item: unknown, i) => timed(item, sameItem(item, old) ?? (Array.isArray(old) ? (old as unknown[])[i] : undefined), now, generation));
  if (typeof value !== "object" || value === null) return value;
  if (isCondition(value)) {
    const before = old as TimedCondition | undefined;
    const stands = before?.type === value.type && before.status === value.status && before.lastTransitionTime !== undefined;
    const result = { ...value, lastTransitionTime: stands ? before.lastTransitionTime : now };
    return generation === undefined ? result : { ...result, observedGeneration: generation };
  }
  const was = (typeof old === "object" && old !== null ? old : {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.entries(value).map(([key, inner]: [string, unknown]) => [key, timed(inner, was[key], now, generation)]));
}

/** Items of lists are found again by their name or type. */
function sameItem(item: unknown, old: unknown): unknown {
  if (!Array.isArray(old) || typeof item !== "object" || item === null) return undefined;
  const list = old as readonly Readonly<Record<string, unknown>>[];
  for (const key of ["type", "name"]) {
    const value = (item as Readonly<Record<string, unknown>>)[key];
    if (typeof value === "string") return list.find((each) => each[key] === value);
  }
  return undefined;
}

function isCondition(value: object): value is PlainCondition {
  return "type" in value && "status" in value && "reason" in value && "message" in value;
}
