/**
 * Which object, and which field of it, something in a plan came from. Never a resourceVersion: a status write must not
 * change a plan. Travels in xDS filter metadata (key `weft.dev`), nftables rule comments and DNS record sources.
 */
export interface Provenance {
  readonly kind: string;
  /** Absent for cluster-scoped objects. */
  readonly namespace?: string;
  readonly name: string;
  /** Path as a user writes it: `spec.rules[1].from[0]`. Empty: the object as a whole. */
  readonly field: string;
}

/** "AuthorizationPolicy prod/api-allow spec.rules[1]". */
export function formatProvenance(by: Provenance): string {
  const name = by.namespace === undefined ? by.name : `${by.namespace}/${by.name}`;
  return by.field === "" ? `${by.kind} ${name}` : `${by.kind} ${name} ${by.field}`;
}

/** The inverse of formatProvenance; undefined when the text is not one. */
export function parseProvenance(text: string): Provenance | undefined {
  const [kind, object, ...rest] = text.split(" ");
  if (kind === undefined || object === undefined || !/^[A-Z][A-Za-z]*$/.test(kind)) return undefined;
  const slash = object.indexOf("/");
  const field = rest.join(" ");
  if (slash < 0) return { kind, name: object, field };
  return { kind, namespace: object.slice(0, slash), name: object.slice(slash + 1), field };
}
