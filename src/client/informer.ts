/**
 * Keeps a World current: lists each kind, then watches it from there; lists again when the server has forgotten the
 * revision; waits longer and longer when it does not answer, and holds what it knew meanwhile.
 */
import type { Clock } from "#host/clock.ts";
import type { Random } from "#host/random.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World } from "#model/world.ts";
import { ApiRefusal } from "./api-error.ts";
import type { ApiClient, ListOptions } from "./client.ts";

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
  /** A list or watch failed; it is tried again by itself. */
  readonly onTrouble?: (kind: KindId, error: unknown) => void;
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
/** A server that always ends watches at once must not be asked in a circle. */
const BETWEEN_WATCHES_MS = 50;

class Follower implements FollowedWorld {
  readonly world: World;
  readonly ready: Promise<void>;
  readonly #api: ApiClient;
  readonly #options: FollowOptions;
  readonly #objects: ReadonlyMap<KindId, Map<string, KubeObject>>;
  readonly #stopped = new AbortController();
  /** Kinds that were never listed. */
  readonly #unlisted: Set<KindId>;
  readonly #ailing: Set<KindId>;
  #tellReady: () => void = () => undefined;
  #pending: ObjectChange[] = [];
  #isScheduled = false;

  constructor(api: ApiClient, kinds: readonly KindId[], options: FollowOptions) {
    this.#api = api;
    this.#options = options;
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
    let revision: string | undefined;
    let waitMs = FIRST_WAIT_MS;
    while (!signal.aborted) {
      try {
        revision ??= await this.#list(kind);
        const only = this.#options.only?.[kind] ?? {};
        for await (const event of this.#api.watch(kind, { ...only, resourceVersion: revision, signal })) {
          waitMs = FIRST_WAIT_MS;
          revision = event.object.metadata.resourceVersion ?? revision;
          if (event.type === "DELETED") this.#remove(kind, objectKey(event.object));
          else if (event.type !== "BOOKMARK") this.#set(kind, event.object);
          this.#ailing.delete(kind);
        }
        await this.#pause(BETWEEN_WATCHES_MS);
      } catch (error) {
        if (signal.aborted) return;
        const isExpired = error instanceof ApiRefusal && error.isExpired;
        if (isExpired) revision = undefined;
        else {
          this.#ailing.add(kind);
          this.#options.onTrouble?.(kind, error);
        }
        // Half of it at random, so that many clients do not come back in one moment.
        await this.#pause(isExpired ? 0 : waitMs * (0.5 + random.next() / 2));
        waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
      }
    }
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
    this.#ailing.delete(kind);
    if (this.#unlisted.delete(kind)) this.#schedule();
    return resourceVersion;
  }

  #set<K extends KindId>(kind: K, object: Kinds[K]): void {
    const objects = this.#objects.get(kind);
    const key = objectKey(object);
    const before = objects?.get(key) as Kinds[K] | undefined;
    const isSame = before?.metadata.uid === object.metadata.uid && before?.metadata.resourceVersion === object.metadata.resourceVersion;
    if (isSame && before !== undefined) return;
    objects?.set(key, object);
    this.#pending.push({ kind, key, before, after: object } as ObjectChange);
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

  async #pause(milliseconds: number): Promise<void> {
    try {
      await this.#options.host.clock.sleep(milliseconds, this.#stopped.signal);
    } catch {
      // Stopped; the loop sees it.
    }
  }
}
