/**
 * The language in which kinds are described: plain JSON Schema nodes (as a CustomResourceDefinition's structural schema)
 * that carry the TypeScript type of their value. One source for types, strict decoding, defaults, validation, patch merge
 * keys, server-side apply and OpenAPI.
 *
 * Written here instead of taken from a library: importing TypeBox 1.4 costs 125 ms a process (measured 2026-11), more than
 * everything else that an agent or the API server does at start.
 */
declare const valueType: unique symbol;

export interface Schema<T = unknown> extends SchemaFacts {
  /** Exists only for the type checker. */
  readonly [valueType]: T;
}

export type Static<S> = S extends { readonly [valueType]: infer T } ? T : never;

export interface SchemaFacts {
  /** Absent: any value ("x-kubernetes-preserve-unknown-fields" at this place). */
  readonly type?: "string" | "integer" | "number" | "boolean" | "object" | "array";
  readonly intOrString?: true;
  /** "int32", "int64", "double", "byte", "date-time", "quantity", "duration" ... */
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly numberEnum?: readonly number[];
  readonly pattern?: RegExp;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, SchemaFacts>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaFacts;
  readonly items?: SchemaFacts;
  readonly preserveUnknown?: true;
  readonly nullable?: true;
  readonly default?: unknown;
  /** Server-side apply: how a list is merged. Absent: atomic. */
  readonly listType?: "map" | "set" | "atomic";
  readonly listMapKeys?: readonly string[];
  /** A struct or map that is replaced as one value. */
  readonly mapType?: "atomic";
  /** Strategic merge patch. */
  readonly patchMergeKey?: string;
  readonly patchStrategy?: "merge" | "replace" | "retainKeys" | "merge,retainKeys";
  /** At most one of these fields may be set (and at least one when `exactly`). */
  readonly oneOf?: { readonly fields: readonly string[]; readonly exactly?: true };
  /** Rules that need more than one field; run after the value has the right shape. */
  readonly rules?: readonly Rule[];
  /** Upstream's name of this type, for OpenAPI: "io.k8s.api.core.v1.Container". Unnamed ones are written in place. */
  readonly definition?: string;
}

/** Says what is wrong with a value of the right shape; undefined when nothing is. `old` is there on update. */
export interface Rule {
  (value: never, old: unknown): RuleBreach | undefined;
  /** The same for a foreign API server; absent: compilers take what breaks the rule, and say so in the object's status. */
  readonly cel?: readonly CelRule[];
}

/** As `x-kubernetes-validations` has it. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

/** A rule with its words in CEL: `[what must hold, what is said when it does not]`. They stand together so that they stay the same. */
export function alsoInCel<R extends Rule>(rule: R, ...cel: readonly (readonly [rule: string, message: string])[]): R & Required<Pick<Rule, "cel">> {
  // A new function: one that tests call directly must not change.
  const checked = ((value: never, old: unknown) => rule(value, old)) as unknown as R;
  return Object.assign(checked, { cel: cel.map(([text, message]) => ({ rule: text, message })) });
}

export interface RuleBreach {
  /** Relative to the value: "", "weight", "ports[0].name". */
  readonly field: string;
  readonly message: string;
  readonly reason?: "FieldValueInvalid" | "FieldValueRequired" | "FieldValueForbidden" | "FieldValueDuplicate" | "FieldValueNotSupported";
  readonly value?: unknown;
}

type Fields = Readonly<Record<string, SchemaFacts>>;
type Flat<T> = { readonly [K in keyof T]: T[K] };
type StructOf<R extends Fields, O extends Fields> = Flat<{ readonly [K in keyof R]: Static<R[K]> } & { readonly [K in keyof O]?: Static<O[K]> }>;

function node<T>(facts: SchemaFacts): Schema<T> {
  return facts as Schema<T>;
}

export const text = node<string>({ type: "string" });
export const bool = node<boolean>({ type: "boolean" });
export const int32 = node<number>({ type: "integer", format: "int32" });
export const int64 = node<number>({ type: "integer", format: "int64" });
/** A protobuf uint32 in Istio's API. */
export const uint32 = node<number>({ type: "integer", minimum: 0, maximum: 4294967295 });
export const double = node<number>({ type: "number", format: "double" });
export const time = node<string>({ type: "string", format: "date-time" });
export const intOrString = node<number | string>({ intOrString: true });
/** A resource quantity; numbers are accepted and kept as strings. */
export const quantity = node<string>({ type: "string", format: "quantity", intOrString: true });
/** base64 in JSON. */
export const bytes = node<string>({ type: "string", format: "byte" });
/** "1.5s", "100ms": Istio's durations. */
export const duration = node<string>({ type: "string", format: "duration" });
export const anything = node<unknown>({});
export const anyObject = node<Readonly<Record<string, unknown>>>({ type: "object", preserveUnknown: true });

export function oneOfTexts<const V extends readonly string[]>(...values: V): Schema<V[number]> {
  return node({ type: "string", enum: values });
}

/** A struct: required fields, then optional ones. */
export function struct<R extends Fields, O extends Fields>(required: R, optional: O, facts: SchemaFacts = {}): Schema<StructOf<R, O>> {
  const names = Object.keys(required);
  // Without a prototype: a field that somebody calls "constructor" is not known.
  return node({ type: "object", properties: { __proto__: null, ...required, ...optional }, ...(names.length > 0 ? { required: names } : {}), ...facts });
}

/** An atomic list. */
export function list<T>(items: Schema<T>, facts: SchemaFacts = {}): Schema<readonly T[]> {
  return node({ type: "array", items, ...facts });
}

export function setOf<T>(items: Schema<T>, facts: SchemaFacts = {}): Schema<readonly T[]> {
  return node({ type: "array", items, listType: "set", ...facts });
}

/** A list whose items are told apart by `keys`; the first one is also the merge key of strategic merge patches. */
export function listByKey<T>(items: Schema<T>, keys: readonly string[], facts: SchemaFacts = {}): Schema<readonly T[]> {
  return node({ type: "array", items, listType: "map", listMapKeys: keys, ...facts });
}

/** As listByKey, for built-in kinds, where strategic merge patches merge by the first key. */
export function mergeList<T>(items: Schema<T>, keys: readonly string[], facts: SchemaFacts = {}): Schema<readonly T[]> {
  const [patchMergeKey] = keys;
  return listByKey(items, keys, { ...(patchMergeKey === undefined ? {} : { patchMergeKey }), patchStrategy: "merge", ...facts });
}

export function mapOf<T>(values: Schema<T>, facts: SchemaFacts = {}): Schema<Readonly<Record<string, T>>> {
  return node({ type: "object", additionalProperties: values, ...facts });
}

/** The same schema with more facts: a default, a range, a pattern. */
export function having<T>(schema: Schema<T>, facts: SchemaFacts): Schema<T> {
  return node({ ...schema, ...facts });
}
