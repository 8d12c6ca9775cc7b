/** The World as control has last heard it: objects by kind and key, sorted lists on demand, and waiting for own writes. */
import type { KindId, Kinds } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { objectKey } from "#model/object.ts";
import type { WorldReader } from "#model/world.ts";

interface KindObjects {
  readonly byKey: Map<string, KubeObject>;
  /** undefined: must be sorted again. Key "" is all namespaces. */
  readonly lists: Map<string, readonly KubeObject[]>;
}

interface Waiter {
  readonly kind: KindId;
  readonly key: string;
  readonly isThere: (object: KubeObject | undefined) => boolean;
  readonly resolve: () => void;
}

export class LiveWorld implements WorldReader {
  readonly #kinds = new Map<KindId, KindObjects>();
  readonly #waiters = new Set<Waiter>();

  get<K extends KindId>(kind: K, key: string): Kinds[K] | undefined {
    return this.#of(kind).byKey.get(key) as Kinds[K] | undefined;
  }

  inNamespace<K extends KindId>(kind: K, namespace: string): readonly Kinds[K][] {
    return this.#list(kind, namespace) as readonly Kinds[K][];
  }

  all<K extends KindId>(kind: K): readonly Kinds[K][] {
    return this.#list(kind, "") as readonly Kinds[K][];
  }

  set(kind: KindId, object: KubeObject): void {
    const of = this.#of(kind);
    of.byKey.set(objectKey(object), object);
    this.#changed(kind, of, object);
  }

  delete(kind: KindId, object: KubeObject): void {
    const of = this.#of(kind);
    of.byKey.delete(objectKey(object));
    this.#changed(kind, of, object);
  }

  /** Resolves when the object is as wanted; `key` of an object that never gets there is the caller's to give up on. */
  reached(kind: KindId, key: string, isThere: (object: KubeObject | undefined) => boolean): { readonly done: Promise<void>; forget(): void } {
    if (isThere(this.#of(kind).byKey.get(key))) return { done: Promise.resolve(), forget: () => undefined };
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { kind, key, isThere, resolve };
    this.#waiters.add(waiter);
    return {
      done: promise,
      forget: () => {
        this.#waiters.delete(waiter);
        resolve();
      },
    };
  }

  #changed(kind: KindId, of: KindObjects, object: KubeObject): void {
    of.lists.delete("");
    of.lists.delete(object.metadata.namespace ?? "");
    const key = objectKey(object);
    for (const waiter of this.#waiters) {
      if (waiter.kind !== kind || waiter.key !== key || !waiter.isThere(of.byKey.get(key))) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  #list(kind: KindId, namespace: string): readonly KubeObject[] {
    const of = this.#of(kind);
    let list = of.lists.get(namespace);
    if (list === undefined) {
      list = [...of.byKey]
        .filter(([, object]) => namespace === "" || object.metadata.namespace === namespace)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, object]) => object);
      of.lists.set(namespace, list);
    }
    return list;
  }

  #of(kind: KindId): KindObjects {
    let of = this.#kinds.get(kind);
    if (of === undefined) this.#kinds.set(kind, (of = { byKey: new Map(), lists: new Map() }));
    return of;
  }
}
