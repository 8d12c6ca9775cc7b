/**
 * From parsed JSON to an object of a kind: keeps the fields that the schema knows, lists those that it does not, and says
 * which values have a wrong type. Copies: the input is never changed. `null` counts as absent, as in Kubernetes' own types.
 */
import type { KindInfo } from "./kinds.ts";
import type { KubeObject } from "./object.ts";
import { goField, goTypeOf, goValue } from "./go-decoding.ts";
import { at, invalid, wrongType, type Problem } from "./problem.ts";
import { parseQuantity } from "./quantity.ts";
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
  readonly root: SchemaFacts;
  readonly unknown: string[];
  readonly problems: Problem[];
  decodingError: string | undefined;
}

export function decodeObject(info: KindInfo, raw: Readonly<Record<string, unknown>>): Decoded {
  const findings: Findings = { root: info.schema, unknown: [], problems: [], decodingError: undefined };
  const decoded = decode(info.schema, raw, "", findings) as Record<string, unknown> | undefined;
  const object = { apiVersion: "", kind: info.kind, metadata: {}, ...decoded } as unknown as KubeObject;
  const { unknown, problems, decodingError } = findings;
  return { object, unknown, problems, decodingError: info.builtIn ? decodingError : undefined };
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
      return isInteger(schema, value) ? value : wrong(schema, value, path, findings);
    case "number":
      return typeof value === "number" ? value : wrong(schema, value, path, findings);
    case "boolean":
      return typeof value === "boolean" ? value : wrong(schema, value, path, findings);
    case "string":
      if (typeof value !== "string") return wrong(schema, value, path, findings);
      return schema.format === "byte" ? decodeBase64(value, path, findings) : value;
  }
}

const INT32 = 2 ** 31;
const INT64 = 2 ** 63;

function isInteger(schema: SchemaFacts, value: unknown): boolean {
  const limit = schema.format === "int32" ? INT32 : INT64;
  return typeof value === "number" && Number.isInteger(value) && value >= -limit && value < limit;
}

function decodeIntOrString(schema: SchemaFacts, value: unknown, path: string, findings: Findings): unknown {
  if (schema.format === "quantity") {
    if (typeof value !== "number" && typeof value !== "string") return wrong(schema, value, path, findings);
    const text = String(value);
    if (parseQuantity(text) !== undefined) return text;
    return refused(path, text, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'", findings);
  }
  return typeof value === "string" || isInteger({ format: "int32" }, value) ? value : wrong(schema, value, path, findings);
}

function decodeBase64(value: string, path: string, findings: Findings): unknown {
  const [legal = ""] = /^[A-Za-z0-9+/\r\n]*={0,2}/.exec(value) ?? [];
  const significant = value.replaceAll(/[\r\n]/g, "").length;
  if (legal.length === value.length && significant % 4 === 0) return value;
  return refused(path, value, `illegal base64 data at input byte ${legal.length < value.length ? legal.length : significant - (significant % 4)}`, findings);
}

function refused(path: string, value: unknown, why: string, findings: Findings): undefined {
  findings.problems.push(invalid(path, value, why));
  findings.decodingError ??= why;
  return undefined;
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

function wrong(schema: SchemaFacts, value: unknown, path: string, findings: Findings): undefined {
  findings.problems.push(wrongType(path, value, schema.intOrString === true ? "integer or string" : (schema.type ?? "any")));
  findings.decodingError ??= `json: cannot unmarshal ${goValue(schema, value)} into Go struct field ${goField(findings.root, path)} of type ${goTypeOf(schema)}`;
  return undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
