/** Keys of the objects that others belong to. */
import type { KubeObject } from "#model/object.ts";
import { keyOf, objectKey } from "#model/object.ts";

export function ownKey(object: KubeObject): readonly string[] {
  return [objectKey(object)];
}

/** The key of the controlling owner of this kind. */
export function controllerKey(kind: string): (object: KubeObject) => readonly string[] {
  return (object) =>
    (object.metadata.ownerReferences ?? [])
      .filter((owner) => owner.controller === true && owner.kind === kind)
      .map((owner) => keyOf(object.metadata.namespace, owner.name));
}

/** "default/a" -> ["default", "a"]. */
export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
