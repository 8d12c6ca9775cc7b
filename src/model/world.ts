/**
 * The World: all resources at one moment, immutable. Compilers never hold a World itself: they get a `WorldReader`,
 * which may record what they read (lib/incremental.ts), so that a change re-derives only its readers.
 */
import { findKind, type KindId, type Kinds } from "./kinds.ts";
import { objectKey, type KubeObject } from "./object.ts";

/** What a compiler may ask. Lists are sorted by key, so that the same World gives the same bytes. */
export interface WorldReader {
  get<K extends KindId>(kind: K, key: string): Kinds[K] | undefined;
  /** Of a namespaced kind. */
  inNamespace<K extends KindId>(kind: K, namespace: string): readonly Kinds[K][];
  all<K extends KindId>(kind: K): readonly Kinds[K][];
}

/** Objects by kind and key. Made by the client from list and watch, or by `weft why -f` from files. */
export type World = { readonly [K in KindId]?: ReadonlyMap<string, Kinds[K]> };

/** The World of these objects; of two with one key the later counts. Throws on a kind that Weft does not know. */
export function makeWorld(objects: Iterable<KubeObject>): World {
  const world = new Map<KindId, Map<string, KubeObject>>();
  for (const object of objects) {
    const info = findKind(object.apiVersion, object.kind);
    if (info === undefined)
      throw new Error(`${object.kind} ${objectKey(object)}: no such kind in ${JSON.stringify(object.apiVersion)}; validate manifests first`);
    const ofKind = world.get(info.id) ?? new Map<string, KubeObject>();
    world.set(info.id, ofKind.set(objectKey(object), object));
  }
  return Object.fromEntries(world) as World;
}

/** Reads a World without recording; sorts each kind once, when it is first listed. */
export function worldReader(world: World): WorldReader {
  const sorted = new Map<KindId, readonly KubeObject[]>();
  const byNamespace = new Map<KindId, ReadonlyMap<string, readonly KubeObject[]>>();

  function all<K extends KindId>(kind: K): readonly Kinds[K][] {
    let objects = sorted.get(kind);
    if (objects === undefined) {
      const map: ReadonlyMap<string, KubeObject> = world[kind] ?? new Map<string, KubeObject>();
      objects = [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, object]) => object);
      sorted.set(kind, objects);
    }
    return objects as readonly Kinds[K][];
  }

  return {
    get: (kind, key) => world[kind]?.get(key),
    all,
    inNamespace<K extends KindId>(kind: K, namespace: string): readonly Kinds[K][] {
      let grouped = byNamespace.get(kind);
      if (grouped === undefined) {
        grouped = Map.groupBy(all(kind) as readonly KubeObject[], (object) => object.metadata.namespace ?? "");
        byNamespace.set(kind, grouped);
      }
      return (grouped.get(namespace) ?? []) as readonly Kinds[K][];
    },
  };
}
