/**
 * The World as input tables of the incremental engine: one per kind, with an index by namespace. What compilers must not
 * depend on does not count as a change: resourceVersion, generation, managedFields, and the status that Weft itself writes
 * on mesh kinds (or every status write would push everything).
 */
import { kindsWithStatus } from "#compile/status/kinds-with-status.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { Incremental, Index, Read, Table } from "#lib/incremental.ts";
import { kindIds, type KindId, type Kinds } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World, WorldReader } from "#model/world.ts";

/** One object written or gone. */
export type WorldChange =
  { readonly kind: KindId; readonly key: string; readonly object: KubeObject } | { readonly kind: KindId; readonly key: string; readonly object?: undefined };

interface KindTable {
  readonly table: Table<KubeObject>;
  readonly byNamespace: Index<KubeObject>;
}

const withOurStatus: ReadonlySet<KindId> = new Set<KindId>([...kindsWithStatus, "Deployment", "ReplicaSet"]);

export class WorldTables {
  readonly #kinds: ReadonlyMap<KindId, KindTable>;
  /** By "namespace/name" of the Service that a slice is of. */
  readonly slicesByService: Index<KubeObject>;

  constructor(engine: Incremental, world: World = {}) {
    this.#kinds = new Map(kindIds.map((kind) => [kind, kindTable(engine, kind)]));
    this.slicesByService = this.#of("EndpointSlice").table.index(sliceService);
    for (const kind of kindIds) for (const object of world[kind]?.values() ?? []) this.set(kind, object);
  }

  /** Each answers whether anything changed that a compiler may see. */
  set(kind: KindId, object: KubeObject): boolean {
    return this.#of(kind).table.set(objectKey(object), object);
  }

  delete(kind: KindId, key: string): boolean {
    return this.#of(kind).table.delete(key);
  }

  apply({ kind, key, object }: WorldChange): boolean {
    return object === undefined ? this.delete(kind, key) : this.set(kind, object);
  }

  /** The World as seen by the derivation that `read` belongs to: what it reads is recorded. */
  reader(read: Read): WorldReader {
    return {
      get: <K extends KindId>(kind: K, key: string) => read.get(this.#of(kind).table, key) as Kinds[K] | undefined,
      inNamespace: <K extends KindId>(kind: K, namespace: string) => read.group(this.#of(kind).byNamespace, namespace) as readonly Kinds[K][],
      all: <K extends KindId>(kind: K) => read.all(this.#of(kind).table) as readonly Kinds[K][],
    };
  }

  #of(kind: KindId): KindTable {
    const found = this.#kinds.get(kind);
    if (found === undefined) throw new Error(`there is no table for kind ${kind}`);
    return found;
  }
}

export const sliceServiceLabel = "kubernetes.io/service-name";

/** Undefined for a slice of nobody. */
export function sliceService({ metadata }: KubeObject): string | undefined {
  const name = metadata.labels?.[sliceServiceLabel];
  return name === undefined ? undefined : `${metadata.namespace ?? ""}/${name}`;
}

function kindTable(engine: Incremental, kind: KindId): KindTable {
  const ignoresStatus = withOurStatus.has(kind);
  const table = engine.table<KubeObject>(`world ${kind}`, { equals: (a, b) => structurallyEqual(relevant(a, ignoresStatus), relevant(b, ignoresStatus)) });
  return { table, byNamespace: table.index((object) => object.metadata.namespace) };
}

function relevant(object: KubeObject, ignoresStatus: boolean): KubeObject {
  const { resourceVersion: _, generation: _g, managedFields: _m, ...metadata } = object.metadata;
  return { ...object, metadata, ...(ignoresStatus ? { status: undefined } : {}) };
}
