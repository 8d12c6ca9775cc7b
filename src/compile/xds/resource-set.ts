/** Resources of one type by name, sorted, so that equal Worlds give equal plans. */
import type { Derivation, Read } from "#lib/incremental.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { sameResource } from "./encode.ts";

export type ResourceSet = ReadonlyMap<string, EncodedResource>;

export function resourceSet(resources: readonly EncodedResource[]): ResourceSet {
  return new Map(resources.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)).map((resource) => [resource.name, resource]));
}

/** Those of the names that exist. */
export function derivedSet(read: Read, derivation: Derivation<EncodedResource | undefined>, names: readonly string[]): ResourceSet {
  return resourceSet(names.flatMap((name) => read.derived(derivation, name) ?? []));
}

export function sameSet(a: ResourceSet, b: ResourceSet): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [name, resource] of a) if (!sameResource(resource, b.get(name))) return false;
  return true;
}
