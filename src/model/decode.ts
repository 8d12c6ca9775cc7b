/**
 * From parsed JSON to an object of a kind: keeps the fields that the schema knows, lists those that it does not, and says
 * which values have a wrong type. Copies: the input is never changed. `null` counts as absent, as in Kubernetes' own types.
 */
import type { KindInfo } from "./kinds.ts";
import type { KubeObject } from "./object.ts";
import { at, wrongType, type Problem } from "./problem.ts";
import type { SchemaFacts } from "./schema.ts";

export interface Decoded {
  /** Only what the schema knows; fields of a wrong type are left out. */
  readonly object: KubeObject;
  /** Paths of unknown fields: `spec.foo`. */
  readonly unknown: readonly string[];
  readonly problems: readonly Problem[];
  /** The first wrong type, as Go's decoder says it; set for built-in kinds, which are refused with 400 for it. */
  readonly decodingError: string | undefined;
}

interface Findings {
  readonly unknown: string[];
  readonly problems: Problem[];
  decodingError: string | undefined;
}

export function decodeObject(info: KindInfo, raw: Readonly<Record<string, unknown>>): Decoded {
  const findings: Findings = { unknown: [], problems: [], decodingError: undefined };
  const decoded = decode(info.schema, raw, "", findings) as Record<string, unknown> | undefined;
  const object = { apiVersion: "", kind: info.kind, metadata: {}, ...decoded } as unknown as KubeObject;
  return { object, ...findings, decodingError: info.builtIn ? findings.decodingError : undefined };
}

function decode(schema: SchemaFacts, value: unknown, path: string, findings: Findings): unknown {
  if (value === null || value === undefined) return undefined;
  if (schema.intOrString === true) return decodeIntOrString(schema, value, path, findings);
  switch (schema.type) {
    case undefined:
      return value;
    case "object":
      return isRecord(value) ? decodeObjectFields(schema, value, path, findings) : wrong(schema, value, path, findings);
    case "array":
      return Array.isArray(value) ? decodeItems(schema, value, path, findings) : wrong(schema, value, path, findings);
    case "integer":
      return typeof value === "number" && Number.isInteger(value) ? value : wrong(schema, value, path, findings);
    case "number":
      return typeof value === "number" ? value : wrong(schema, value, path, findings);
    case "boolean":
      return typeof value === "boolean" ? value : wrong(schema, value, path, findings);
    case "string":
      return typeof value === "string" ? value : wrong(schema, value, path, findings);
  }
}

function decodeIntOrString(schema: SchemaFacts, value: unknown, path: string, findings: Findings): unknown {
  if (schema.format === "quantity") return typeof value === "number" || typeof value === "string" ? String(value) : wrong(schema, value, path, findings);
  const fits = typeof value === "string" || (typeof value === "number" && Number.isInteger(value));
  return fits ? value : wrong(schema, value, path, findings);
}

function decodeObjectFields(schema: SchemaFacts, value: Readonly<Record<string, unknown>>, path: string, findings: Findings): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    const known = schema.properties?.[name] ?? schema.additionalProperties;
    if (known !== undefined) {
      const decoded = decode(known, field, at(path, name), findings);
      if (decoded !== undefined) define(result, name, decoded);
    } else if (schema.preserveUnknown === true) define(result, name, field);
    else findings.unknown.push(at(path, name));
  }
  return result;
}

/** A plain assignment to "__proto__" would change the prototype. */
function define(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  else target[name] = value;
}

function decodeItems(schema: SchemaFacts, value: readonly unknown[], path: string, findings: Findings): unknown[] {
  const items = schema.items ?? {};
  const decoded: unknown[] = [];
  for (const [index, item] of value.entries()) {
    const each = item === null ? wrong(items, item, at(path, index), findings) : decode(items, item, at(path, index), findings);
    if (each !== undefined) decoded.push(each);
  }
  return decoded;
}

const goTypes: Readonly<Record<string, string>> = { string: "string", boolean: "bool", array: "slice", object: "map[string]interface {}", number: "float64" };
const jsonTypes: Readonly<Record<string, string>> = { boolean: "bool", integer: "number" };

function wrong(schema: SchemaFacts, value: unknown, path: string, findings: Findings): undefined {
  const problem = wrongType(path, value, schema.intOrString === true ? "integer or string" : (schema.type ?? "any"));
  findings.problems.push(problem);
  const found = JSON.parse(/^Invalid value: ("[a-z]+")/.exec(problem.message)?.[1] ?? '"value"') as string;
  const wanted = schema.definition?.split(".").slice(-2).join(".") ?? (schema.type === "integer" ? schema.format : goTypes[schema.type ?? ""]) ?? "value";
  findings.decodingError ??= `json: cannot unmarshal ${jsonTypes[found] ?? found} into Go struct field ${path} of type ${wanted}`;
  return undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
