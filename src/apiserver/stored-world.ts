/** What is stored at this moment as a World: for admission, which must see what the write before it brought. */
import type { KindId, Kinds } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { WorldReader } from "#model/world.ts";
import type { Store } from "./store.ts";

export function storedWorld(store: Pick<Store, "get" | "all">): WorldReader {
  const sorted = (kind: KindId, isWanted: (object: KubeObject) => boolean): readonly KubeObject[] =>
    [...store.all(kind)].filter(isWanted).sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1));
  return {
    get: <K extends KindId>(kind: K, key: string) => store.get(kind, key) as Kinds[K] | undefined,
    all: <K extends KindId>(kind: K) => sorted(kind, () => true) as readonly Kinds[K][],
    inNamespace: <K extends KindId>(kind: K, namespace: string) => sorted(kind, ({ metadata }) => metadata.namespace === namespace) as readonly Kinds[K][],
  };
}
