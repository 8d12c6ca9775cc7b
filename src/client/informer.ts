/**
 * Keeps a World current: lists each kind, then watches it from there; lists again when the server has forgotten the
 * revision; waits longer and longer when it does not answer, and holds what it knew meanwhile. A kind that the server does
 * not have (its definition is not installed) counts as listed, with nothing in it, and is waited for.
 */
import type { Clock } from "#host/clock.ts";
import type { Random } from "#host/random.ts";
import { KINDS, type KindId, type Kinds } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World } from "#model/world.ts";
import { ApiRefusal } from "./api-error.ts";
import type { ApiClient, ListOptions } from "./client.ts";
import { ServedKinds } from "./served-kinds.ts";

/** One object as it is now, after a change. */
export interface ObjectChange<K extends KindId = KindId> {
  readonly kind: K;
  readonly key: string;
  /** undefined: the object was not known. */
  readonly before: Kinds[K] | undefined;
  /** undefined: it is gone. */
  readonly after: Kinds[K] | undefined;
}

export interface FollowOptions {
  readonly host: { readonly clock: Clock; readonly random: Random };
  /** All changes of a turn together, in order; the World has them already. Also called (perhaps with none) when the first lists are complete. */
  readonly changed: (changes: readonly ObjectChange[]) => void;
  /** Narrows a kind: `{ Pod: { fieldSelector: "spec.nodeName=node-1" } }`. */
  readonly only?: { readonly [K in KindId]?: ListOptions };
  /** What is kept of an object of a kind; absent: all but its managers. What it leaves out must be read by nobody. */
  readonly keep?: { readonly [K in KindId]?: (object: Kinds[K]) => Kinds[K] };
  /** A list or watch failed; it is tried again by itself. `isNew`: the first time since all was well. */
  readonly onTrouble?: (kind: KindId, error: unknown, isNew: boolean) => void;
  /** After trouble: the server answers again. */
  readonly onWell?: (kind: KindId) => void;
  /** The server has no such kind (`served` false), or has it now. */
  readonly onServed?: (kind: KindId, served: boolean) => void;
}

export interface FollowedWorld {
  /** Changes as the server's does. */
  readonly world: World;
  /** A copy that stays as it is. */
  snapshot(): World;
  /** Resolves when every kind has been listed once and `changed` was called with what there is. */
  readonly ready: Promise<void>;
  /** Whether every kind's last list or watch went well. */
  readonly isCurrent: boolean;
  stop(): void;
}

export function followWorld(api: ApiClient, kinds: readonly KindId[], options: FollowOptions): FollowedWorld {
  return new Follower(api, kinds, options);
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** Of the one kind that looks out for a server that answers nobody: what is new must not wait longer than this when it is back. */
const LOOKOUT_WAIT_MS = 3_000;
/** The others are told then; spread, because each of them asks the server at once. */
const SPREAD_MS = 300;
/** A server that always ends watches at once must not be asked in a circle. */
const BETWEEN_WATCHES_MS = 50;
/** A watch lasts this to twice this, so that not all of them begin again in one moment. */
const WATCH_SECONDS = 300;
const OVERDUE_SECONDS = 30;
const NOT_SERVED_MS = 10_000;

interface Known {
  /** Where the next watch begins; undefined: list first. */
  revision: string | undefined;
  /** The server spoke: what fails next is a new trouble. */
  readonly heard: () => void;
}

class Follower implements FollowedWorld {
  readonly world: World;
  readonly ready: Promise<void>;
  readonly #api: ApiClient;
  readonly #options: FollowOptions;
  readonly #objects: ReadonlyMap<KindId, Map<string, KubeObject>>;
  readonly #stopped = new AbortController();
  readonly #served: ServedKinds;
  /** Kinds that were never listed. */
  readonly #unlisted: Set<KindId>;
  /** Not known as they are now: not listed yet, or in trouble. */
  readonly #ailing: Set<KindId>;
  readonly #troubled = new Set<KindId>();
  /** Kinds that wait because nobody answered; called: somebody does. */
  readonly #waiting = new Set<() => void>();
  #lookout: KindId | undefined;
  #tellReady: () => void = () => undefined;
  #pending: ObjectChange[] = [];
  #isScheduled = false;

  constructor(api: ApiClient, kinds: readonly KindId[], options: FollowOptions) {
    this.#api = api;
    this.#options = options;
    this.#served = new ServedKinds(api, options.host.clock);
    this.#objects = new Map(kinds.map((kind) => [kind, new Map()]));
    this.#unlisted = new Set(kinds);
    this.#ailing = new Set(kinds);
    this.world = Object.fromEntries(this.#objects) as World;
    this.ready = new Promise((resolve) => (this.#tellReady = resolve));
    for (const kind of kinds) void this.#follow(kind);
    if (kinds.length === 0) this.#schedule();
  }

  get isCurrent(): boolean {
    return this.#ailing.size === 0;
  }

  snapshot(): World {
    return Object.fromEntries([...this.#objects].map(([kind, objects]) => [kind, new Map(objects)])) as World;
  }

  stop(): void {
    this.#stopped.abort(new Error("stopped"));
  }

  async #follow(kind: KindId): Promise<void> {
    const { signal } = this.#stopped;
    const { random } = this.#options.host;
    const known: Known = { revision: undefined, heard: () => (waitMs = FIRST_WAIT_MS) };
    let waitMs = FIRST_WAIT_MS;
    let isUnanswered = false;
    while (!signal.aborted) {
      try {
        known.revision ??= await this.#list(kind);
        await this.#watch(kind, known);
        waitMs = FIRST_WAIT_MS;
        await this.#pause(BETWEEN_WATCHES_MS);
      } catch (error) {
        if (signal.aborted) return;
        const isExpired = error instanceof ApiRefusal && error.isExpired;
        // Whatever it was that a server refused, a list shows what is there now: it may be another server, with another past.
        if (error instanceof ApiRefusal) known.revision = undefined;
        if (error instanceof ApiRefusal && error.isNotFound && !KINDS[kind].builtIn) {
          await this.#untilServed(kind);
          await this.#pause(FIRST_WAIT_MS);
          continue;
        }
        if (!isExpired) {
          this.#isTroubled(kind, error);
        }
        // Half of it at random, so that many clients do not come back in one moment.
        const share = 0.5 + random.next() / 2;
        if (error instanceof ApiRefusal) {
          // A server that refuses is there: it was just started, perhaps, and is not asked as rarely as one that was away.
          if (isUnanswered) waitMs = FIRST_WAIT_MS;
          isUnanswered = false;
          this.#isAnswered();
          await this.#pause(isExpired ? 0 : waitMs * share);
        } else {
          isUnanswered = true;
          await this.#untilAnswered(Math.min(waitMs, this.#isLookout(kind) ? LOOKOUT_WAIT_MS : LONGEST_WAIT_MS) * share);
        }
        waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
      }
    }
  }

  async #watch(kind: KindId, known: Known): Promise<void> {
    const { clock, random } = this.#options.host;
    const { signal } = this.#stopped;
    const only = this.#options.only?.[kind] ?? {};
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + random.next()));
    const watch = new AbortController();
    const stop = (): void => watch.abort(new Error("stopped"));
    signal.addEventListener("abort", stop, { once: true });
    // The server ends a watch in time. One that does not is not there any more, whatever its connection says.
    const overdue = clock.after((timeoutSeconds + OVERDUE_SECONDS) * 1000, () => watch.abort(new Error("the server did not end the watch in time"))).unref();
    const opened = (): void => this.#isWell(kind);
    try {
      for await (const event of this.#api.watch(kind, { ...only, resourceVersion: known.revision ?? "", timeoutSeconds, signal: watch.signal, opened })) {
        known.heard();
        known.revision = event.object.metadata.resourceVersion ?? known.revision;
        if (event.type === "DELETED") this.#remove(kind, objectKey(event.object));
        else if (event.type !== "BOOKMARK") this.#set(kind, event.object);
      }
    } finally {
      overdue.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  /**
   * Resolves when the server has the kind. What is known of it goes only after a second look: rules must not fall because
   * of one wrong answer.
   */
  async #untilServed(kind: KindId): Promise<void> {
    const { random } = this.#options.host;
    let looks = 0;
    while (!this.#stopped.signal.aborted) {
      try {
        if (await this.#served.has(kind)) {
          if (looks > 0) this.#options.onServed?.(kind, true);
          return;
        }
        looks += 1;
        if (looks === 1) this.#options.onServed?.(kind, false);
        if (looks === 1 || looks === 2) this.#isAbsent(kind, looks);
      } catch (error) {
        this.#isTroubled(kind, error);
      }
      await this.#pause(NOT_SERVED_MS * (0.5 + random.next() / 2));
    }
  }

  #isTroubled(kind: KindId, error: unknown): void {
    const isNew = !this.#troubled.has(kind);
    this.#troubled.add(kind);
    this.#ailing.add(kind);
    this.#options.onTrouble?.(kind, error, isNew);
  }

  #isWell(kind: KindId): void {
    this.#isAnswered();
    this.#ailing.delete(kind);
    if (this.#troubled.delete(kind)) this.#options.onWell?.(kind);
  }

  #isAbsent(kind: KindId, looks: number): void {
    this.#isWell(kind);
    if (looks > 1) for (const key of [...(this.#objects.get(kind)?.keys() ?? [])]) this.#remove(kind, key);
    if (this.#unlisted.delete(kind)) this.#schedule();
  }

  async #list(kind: KindId): Promise<string> {
    const { items, resourceVersion } = await this.#api.list(kind, this.#options.only?.[kind]);
    if (this.#stopped.signal.aborted) return resourceVersion;
    const gone = new Set(this.#objects.get(kind)?.keys());
    for (const object of items) {
      gone.delete(objectKey(object));
      this.#set(kind, object);
    }
    for (const key of gone) this.#remove(kind, key);
    this.#isWell(kind);
    if (this.#unlisted.delete(kind)) this.#schedule();
    return resourceVersion;
  }

  #set<K extends KindId>(kind: K, object: Kinds[K]): void {
    const objects = this.#objects.get(kind);
    const key = objectKey(object);
    const before = objects?.get(key) as Kinds[K] | undefined;
    const isSame = before?.metadata.uid === object.metadata.uid && before?.metadata.resourceVersion === object.metadata.resourceVersion;
    if (isSame && before !== undefined) return;
    const after = this.#options.keep?.[kind]?.(object) ?? withoutManagers(object);
    objects?.set(key, after);
    this.#pending.push({ kind, key, before, after } as ObjectChange);
    this.#schedule();
  }

  #remove(kind: KindId, key: string): void {
    const before = this.#objects.get(kind)?.get(key);
    if (before === undefined) return;
    this.#objects.get(kind)?.delete(key);
    this.#pending.push({ kind, key, before, after: undefined } as ObjectChange);
    this.#schedule();
  }

  /** Until everything has been listed the World would look as if objects were missing. */
  #schedule(): void {
    if (this.#isScheduled || this.#unlisted.size > 0) return;
    this.#isScheduled = true;
    this.#options.host.clock.soon(() => {
      this.#isScheduled = false;
      if (this.#stopped.signal.aborted) return;
      const changes = this.#pending;
      this.#pending = [];
      this.#options.changed(changes);
      this.#tellReady();
    });
  }

  /** Only when no kind is well: one alone that fails has a reason of its own. */
  #isLookout(kind: KindId): boolean {
    if (this.#ailing.size === this.#objects.size) this.#lookout ??= kind;
    return this.#lookout === kind;
  }

  #isAnswered(): void {
    this.#lookout = undefined;
    for (const wake of this.#waiting) wake();
  }

  /** At most so long; less when another kind was answered. */
  async #untilAnswered(milliseconds: number): Promise<void> {
    const { clock, random } = this.#options.host;
    const { signal } = this.#stopped;
    const woken = new AbortController();
    const wake = (): void => woken.abort(new Error("the server answers"));
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    try {
      await clock.sleep(milliseconds, woken.signal);
    } catch {
      await this.#pause(SPREAD_MS * random.next());
    } finally {
      this.#waiting.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    try {
      await this.#options.host.clock.sleep(milliseconds, this.#stopped.signal);
    } catch {
      // Stopped; the loop sees it.
    }
  }
}

/** Who wrote which field is half of what a server sends, and nobody here reads it. */
function withoutManagers<T extends KubeObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
