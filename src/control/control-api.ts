/** What controllers are given: the World as last heard, and writes that they can rely on having been heard. */
import type { Clock } from "#host/clock.ts";
import type { Random } from "#host/random.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import type { WorldReader } from "#model/world.ts";
import type { Log } from "#run/log.ts";

/**
 * Writes to the API server. Each resolves when the World has the result too, so that the next look at the World cannot
 * miss it: without that a ReplicaSet would make pods twice.
 */
export interface Writer {
  create<K extends KindId>(kind: K, object: Kinds[K]): Promise<void>;
  /** JSON merge patch. With `resourceVersion` in its metadata it conflicts when the object has changed. */
  patch<K extends KindId>(kind: K, object: Kinds[K], patch: object): Promise<void>;
  /** Patches `status` alone: conditions of built-in kinds are merged by type, other lists are replaced. */
  patchStatus<K extends KindId>(kind: K, object: Kinds[K], status: object): Promise<void>;
  bind(pod: Kinds["Pod"], node: string): Promise<void>;
  /** Only this very object (its uid); what is gone already is fine. */
  remove<K extends KindId>(kind: K, object: Kinds[K], options?: { readonly gracePeriodSeconds?: number }): Promise<void>;
}

export interface EventRecorder {
  /** Shown by `kubectl describe`; the same one again raises its count. */
  record(about: Kinds[KindId], event: { readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string }): void;
}

export interface ControllerContext {
  readonly host: { readonly clock: Clock; readonly random: Random };
  readonly log: Log;
  readonly world: WorldReader;
  readonly writer: Writer;
  readonly events: EventRecorder;
}

/** A controller looks at one key and makes the World agree with it. */
export interface Controller {
  readonly name: string;
  /** Keys to look at when an object of that kind was written or has gone (then it is the last that was known). */
  readonly watches: { readonly [K in KindId]?: (object: Kinds[K]) => readonly string[] };
  readonly reconcile: (context: ControllerContext, key: string) => Promise<void | { readonly againMs: number }>;
  /** Keys in work at once; default 1. */
  readonly concurrency?: number;
  /** Keys to look at when everything has been listed for the first time, beside those of what was listed. */
  readonly initially?: readonly string[];
}

export function nowText(host: { readonly clock: Clock }): string {
  return `${new Date(host.clock.now()).toISOString().slice(0, 19)}Z`;
}
