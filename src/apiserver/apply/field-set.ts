/**
 * Sets of fields as managedFields stores them (FieldsV1): a tree whose keys are `f:name`, `k:{"name":"x"}` (an item of a
 * list by key), `v:"x"` (an item of a set) and `.` (the thing itself); a leaf is {}. Which lists are merged is in the schema.
 */
import { structurallyEqual } from "#lib/equal.ts";
import { isRecord } from "#model/decode.ts";
import type { SchemaFacts } from "#model/schema.ts";

export interface FieldSet {
  readonly [key: string]: FieldSet;
}

/** Never owned by anybody: the identity of the object, and what only the server writes. */
const unowned = new Set(["apiVersion", "kind"]);
const ownedMetadata = new Set(["labels", "annotations", "finalizers", "ownerReferences"]);

export function ownable(object: object): Readonly<Record<string, unknown>> {
  const { metadata, ...rest } = object as Readonly<Record<string, unknown>>;
  const fields = Object.entries(rest).filter(([name]) => !unowned.has(name));
  const meta = isRecord(metadata) ? Object.entries(metadata).filter(([name]) => ownedMetadata.has(name)) : [];
  return Object.fromEntries([...fields, ...(meta.length === 0 ? [] : [["metadata", Object.fromEntries(meta)] as const])]);
}

export function isMergedList(schema: SchemaFacts): boolean {
  return schema.type === "array" && (schema.listType === "map" || schema.listType === "set");
}

function isMergedObject(schema: SchemaFacts, value: unknown): value is Readonly<Record<string, unknown>> {
  return isRecord(value) && schema.type === "object" && schema.mapType !== "atomic";
}

export function fieldSchema(schema: SchemaFacts, name: string): SchemaFacts {
  return schema.properties?.[name] ?? schema.additionalProperties ?? {};
}

/** How an item of a merged list is named in a set. */
export function itemKey(schema: SchemaFacts, item: unknown): string {
  if (schema.listType === "set" || !isRecord(item)) return `v:${JSON.stringify(item)}`;
  const keys = (schema.listMapKeys ?? []).map((name) => [name, item[name] ?? schema.items?.properties?.[name]?.default] as const);
  return `k:${JSON.stringify(Object.fromEntries(keys.filter(([, value]) => value !== undefined).toSorted(([a], [b]) => (a < b ? -1 : 1))))}`;
}

/** Every field that a value sets. */
export function fieldsOf(schema: SchemaFacts, value: unknown): FieldSet {
  const set: Record<string, FieldSet> = {};
  if (isMergedObject(schema, value)) for (const [name, field] of Object.entries(value)) set[`f:${name}`] = fieldsOf(fieldSchema(schema, name), field);
  else if (isMergedList(schema) && Array.isArray(value)) {
    for (const item of value as readonly unknown[])
      set[itemKey(schema, item)] = schema.listType === "set" ? {} : { ".": {}, ...fieldsOf(schema.items ?? {}, item) };
  }
  return set;
}

/** What of `after` is new or other than in `before`. */
export function changedFields(schema: SchemaFacts, before: unknown, after: unknown): FieldSet {
  if (structurallyEqual(before, after)) return {};
  const set: Record<string, FieldSet> = {};
  const put = (key: string, itemSchema: SchemaFacts, old: unknown, next: unknown) => {
    if (old === undefined) set[key] = { ...(key.startsWith("k:") ? { ".": {} } : {}), ...fieldsOf(itemSchema, next) };
    else if (!structurallyEqual(old, next)) {
      const inner = changedFields(itemSchema, old, next);
      // Only something inside was removed: nothing is set here.
      if (!isContainer(itemSchema, next) || !isEmpty(inner)) set[key] = inner;
    }
  };
  if (isMergedObject(schema, after)) {
    const old = isRecord(before) ? before : {};
    for (const [name, field] of Object.entries(after)) put(`f:${name}`, fieldSchema(schema, name), old[name], field);
  } else if (isMergedList(schema) && Array.isArray(after)) {
    const old = new Map((Array.isArray(before) ? (before as readonly unknown[]) : []).map((item) => [itemKey(schema, item), item]));
    for (const item of after as readonly unknown[]) put(itemKey(schema, item), schema.items ?? {}, old.get(itemKey(schema, item)), item);
  }
  return set;
}

function isContainer(schema: SchemaFacts, value: unknown): boolean {
  return isMergedObject(schema, value) || isMergedList(schema);
}

export function isEmpty(set: FieldSet): boolean {
  return Object.keys(set).length === 0;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = { ...a };
  for (const [key, inner] of Object.entries(b)) result[key] = union(a[key] ?? {}, inner);
  return result;
}

/** Paths of `a` that are not in `b`. A node with children stands for them alone; a leaf for itself. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = {};
  for (const [key, inner] of Object.entries(a)) {
    const other = b[key];
    if (other === undefined || isEmpty(other) !== isEmpty(inner)) result[key] = inner;
    else if (!isEmpty(inner)) {
      const rest = difference(inner, other);
      if (!isEmpty(rest)) result[key] = rest;
    }
  }
  return result;
}

/** Paths that are in both. */
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = {};
  for (const [key, inner] of Object.entries(a)) {
    const other = b[key];
    if (other === undefined || isEmpty(other) !== isEmpty(inner)) continue;
    const both = intersection(inner, other);
    if (!isEmpty(both) || isEmpty(inner)) result[key] = both;
  }
  return result;
}

/** Of `set` what the value still has; `existing` are all its fields. */
export function present(set: FieldSet, existing: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = {};
  for (const [key, inner] of Object.entries(set)) {
    const other = existing[key];
    if (other === undefined) continue;
    const kept = present(inner, other);
    if (!isEmpty(kept) || isEmpty(inner)) result[key] = kept;
  }
  return result;
}

/** ".spec.containers[name="a"].image" for each leaf. */
export function pathsOf(set: FieldSet, prefix = ""): string[] {
  return Object.entries(set).flatMap(([key, inner]) => {
    if (key === ".") return [];
    const path = `${prefix}${shown(key)}`;
    return isEmpty(inner) || Object.keys(inner).join("") === "." ? [path] : pathsOf(inner, path);
  });
}

function shown(key: string): string {
  if (key.startsWith("f:")) return `.${key.slice(2)}`;
  if (key.startsWith("v:")) return `[=${key.slice(2)}]`;
  const keys = JSON.parse(key.slice(2)) as Readonly<Record<string, unknown>>;
  const texts = Object.entries(keys).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `[${texts.join(",")}]`;
}
