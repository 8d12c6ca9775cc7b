/**
 * The World: all resources at one moment, immutable. Compilers never hold a World itself: they get a `WorldReader`,
 * which may record what they read (lib/incremental.ts), so that a change re-derives only its readers.
 */
import type { KindId, Kinds } from "./kinds.ts";

/** What a compiler may ask. Lists are sorted by key, so that the same World gives the same bytes. */
export interface WorldReader {
  get<K extends KindId>(kind: K, key: string): Kinds[K] | undefined;
  /** Of a namespaced kind. */
  inNamespace<K extends KindId>(kind: K, namespace: string): readonly Kinds[K][];
  all<K extends KindId>(kind: K): readonly Kinds[K][];
}

/** Objects by kind and key. Made by the client from list and watch, or by `weft why -f` from files. */
export type World = { readonly [K in KindId]?: ReadonlyMap<string, Kinds[K]> };
