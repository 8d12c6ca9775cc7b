/** Provenance of a field of an object that a compiler reads. */
import type { KubeObject } from "#model/object.ts";
import type { Provenance } from "#model/provenance.ts";

export function provenanceOf(object: KubeObject, field = ""): Provenance {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? { kind: object.kind, name, field } : { kind: object.kind, namespace, name, field };
}

/** "spec" and "http[0]" make "spec.http[0]"; an index is written as "[0]". */
export function fieldOf(by: Provenance, field: string): Provenance {
  const glue = by.field === "" || field.startsWith("[") ? "" : ".";
  return { ...by, field: `${by.field}${glue}${field}` };
}
