/** What is wrong with a field of an object, in Kubernetes' words: becomes a cause of a Status (422 Invalid) or a condition. */
export interface Problem {
  /** "spec.http[0].route[1].weight". */
  readonly field: string;
  readonly reason:
    | "FieldValueInvalid"
    | "FieldValueRequired"
    | "FieldValueForbidden"
    | "FieldValueDuplicate"
    | "FieldValueNotSupported"
    | "FieldValueNotFound"
    | "FieldValueTypeInvalid"
    | "FieldValueTooLong"
    | "FieldValueTooMany";
  /** "Invalid value: 101: must be between 0 and 100". */
  readonly message: string;
}

export function invalid(field: string, value: unknown, detail: string): Problem {
  return { field, reason: "FieldValueInvalid", message: `Invalid value: ${shown(value)}: ${detail}` };
}

export function required(field: string, detail?: string): Problem {
  return { field, reason: "FieldValueRequired", message: detail === undefined ? "Required value" : `Required value: ${detail}` };
}

export function forbidden(field: string, detail: string): Problem {
  return { field, reason: "FieldValueForbidden", message: `Forbidden: ${detail}` };
}

export function duplicate(field: string, value: unknown): Problem {
  return { field, reason: "FieldValueDuplicate", message: `Duplicate value: ${shown(value)}` };
}

export function notFound(field: string, value: unknown): Problem {
  return { field, reason: "FieldValueNotFound", message: `Not found: ${shown(value)}` };
}

export function unsupported(field: string, value: unknown, values: readonly (string | number)[]): Problem {
  const supported = [...values].map((each) => JSON.stringify(String(each))).join(", ");
  return { field, reason: "FieldValueNotSupported", message: `Unsupported value: ${shown(value)}: supported values: ${supported}` };
}

export function wrongType(field: string, value: unknown, type: string): Problem {
  const found = JSON.stringify(jsonType(value));
  return { field, reason: "FieldValueTypeInvalid", message: `Invalid value: ${found}: ${field} in body must be of type ${type}: ${found}` };
}

export function tooLong(field: string, limit: number): Problem {
  return { field, reason: "FieldValueTooLong", message: `Too long: may not be more than ${limit} bytes` };
}

export function tooMany(field: string, count: number, limit: number): Problem {
  return { field, reason: "FieldValueTooMany", message: `Too many: ${count}: must have at most ${limit} items` };
}

export function formatProblem(problem: Problem): string {
  return problem.field === "" ? problem.message : `${problem.field}: ${problem.message}`;
}

export function jsonType(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** Path of a field within a path. */
export function at(path: string, field: string | number): string {
  if (typeof field === "number") return `${path}[${field}]`;
  return path === "" ? field : `${path}.${field}`;
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? "null";
}
