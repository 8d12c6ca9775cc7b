/** Who wins when two objects claim the same thing: the oldest, then the first by namespace/name. */
import { objectKey, type KubeObject } from "#model/object.ts";

/** An object without creationTimestamp (from a file) is younger than any with one. */
export function byPrecedence(a: KubeObject, b: KubeObject): number {
  const [aTime, bTime] = [a.metadata.creationTimestamp ?? "9", b.metadata.creationTimestamp ?? "9"];
  if (aTime !== bTime) return aTime < bTime ? -1 : 1;
  const [aKey, bKey] = [objectKey(a), objectKey(b)];
  return aKey < bKey ? -1 : aKey > bKey ? 1 : 0;
}

export function inPrecedence<T extends KubeObject>(objects: readonly T[]): readonly T[] {
  return objects.toSorted(byPrecedence);
}
