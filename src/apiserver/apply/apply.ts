/**
 * Server-side apply: merges a manager's whole intent into the live object. Fields that it no longer names, and nobody else
 * set, are removed; fields that others set to another value are conflicts, unless forced.
 */
import { structurallyEqual } from "#lib/equal.ts";
import { isRecord } from "#model/decode.ts";
import type { KindInfo } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import type { SchemaFacts } from "#model/schema.ts";
import { difference, fieldSchema, fieldsOf, intersection, isEmpty, isMergedList, itemKey, ownable, pathsOf, union, type FieldSet } from "./field-set.ts";
import { account, isOf, managedFieldsOf, type ManagedFields, type Writer } from "./managed-fields.ts";

export interface ApplyConflict {
  /** '"kubectl" with subresource "scale" using apps/v1'. */
  readonly by: string;
  /** ".spec.replicas" */
  readonly field: string;
}

export interface Applied {
  readonly object: KubeObject;
  readonly managedFields: readonly ManagedFields[];
}

export function applyConfiguration(info: KindInfo, live: KubeObject, config: KubeObject, writer: Writer, force: boolean): Applied | readonly ApplyConflict[] {
  const { schema } = info;
  const wanted = ownable(config);
  const current = ownable(live);
  const intent = fieldsOf(schema, wanted);
  const entries = managedFieldsOf(live);
  const others = entries.filter((entry) => !isOf(entry, writer, "Apply"));
  const merged = merge(schema, current, wanted) as Readonly<Record<string, unknown>>;
  const overwritten = differing(schema, current, wanted);
  const conflicts = others.flatMap((entry) => pathsOf(intersection(entry.fieldsV1, overwritten)).map((field) => ({ by: described(entry), field })));
  if (conflicts.length > 0 && !force) return conflicts;
  const had = entries.find((entry) => isOf(entry, writer, "Apply"))?.fieldsV1 ?? {};
  const keptByOthers = others.reduce<FieldSet>((all, entry) => union(all, entry.fieldsV1), {});
  const removed = difference(difference(had, intent), keptByOthers);
  const result = remove(schema, merged, removed) as Readonly<Record<string, unknown>>;
  const { metadata, ...rest } = result;
  const { labels: _l, annotations: _a, finalizers: _f, ownerReferences: _o, ...fixed } = live.metadata;
  const object = {
    apiVersion: live.apiVersion,
    kind: live.kind,
    ...rest,
    metadata: { ...fixed, ...(isRecord(metadata) ? metadata : {}) },
  } as unknown as KubeObject;
  const managedFields = account(entries, writer, "Apply", { gained: overwritten, shared: intent, replaces: true, existing: fieldsOf(schema, result) });
  return { object, managedFields };
}

function described({ manager, subresource, operation, apiVersion }: ManagedFields): string {
  const through = subresource === undefined ? "" : ` with subresource ${JSON.stringify(subresource)}`;
  return `${JSON.stringify(manager)}${through}${operation === "Apply" ? "" : ` using ${apiVersion}`}`;
}

/** Fields of `config` whose value is other than the live one. */
function differing(schema: SchemaFacts, live: unknown, config: unknown): FieldSet {
  const set: Record<string, FieldSet> = {};
  const put = (key: string, inner: SchemaFacts, old: unknown, next: unknown) => {
    if (old === undefined || structurallyEqual(old, next)) return;
    const isLeaf = !(isRecord(next) && inner.type === "object" && inner.mapType !== "atomic") && !isMergedList(inner);
    const fields = isLeaf ? {} : differing(inner, old, next);
    if (isLeaf || !isEmpty(fields)) set[key] = fields;
  };
  if (isRecord(config) && isRecord(live)) for (const [name, field] of Object.entries(config)) put(`f:${name}`, fieldSchema(schema, name), live[name], field);
  else if (isMergedList(schema) && Array.isArray(config)) {
    const old = new Map((Array.isArray(live) ? (live as readonly unknown[]) : []).map((item) => [itemKey(schema, item), item]));
    for (const item of config as readonly unknown[]) put(itemKey(schema, item), schema.items ?? {}, old.get(itemKey(schema, item)), item);
  }
  return set;
}

function isFilled(schema: SchemaFacts, value: unknown): boolean {
  if (Array.isArray(value)) return isMergedList(schema) && value.length > 0;
  return isRecord(value) && schema.type === "object" && schema.mapType !== "atomic" && Object.keys(value).length > 0;
}

function merge(schema: SchemaFacts, live: unknown, config: unknown): unknown {
  if (isRecord(config) && isRecord(live) && schema.type === "object" && schema.mapType !== "atomic") {
    const result: Record<string, unknown> = { ...live };
    for (const [name, field] of Object.entries(config)) result[name] = Object.hasOwn(live, name) ? merge(fieldSchema(schema, name), live[name], field) : field;
    return result;
  }
  if (!isMergedList(schema) || !Array.isArray(config) || !Array.isArray(live)) return config;
  const result = new Map((live as readonly unknown[]).map((item) => [itemKey(schema, item), item]));
  for (const item of config as readonly unknown[]) {
    const key = itemKey(schema, item);
    result.set(key, result.has(key) ? merge(schema.items ?? {}, result.get(key), item) : item);
  }
  return [...result.values()];
}

function remove(schema: SchemaFacts, value: unknown, gone: FieldSet): unknown {
  if (isEmpty(gone)) return value;
  if (isMergedList(schema) && Array.isArray(value)) {
    const items = (value as readonly unknown[]).flatMap((item) => {
      const inner = gone[itemKey(schema, item)];
      if (inner === undefined) return [item];
      return "." in inner || isEmpty(inner) ? [] : [remove(schema.items ?? {}, item, inner)];
    });
    return items.length === 0 ? undefined : items;
  }
  if (!isRecord(value)) return value;
  const result: Record<string, unknown> = { ...value };
  for (const [key, inner] of Object.entries(gone)) {
    const name = key.slice(2);
    if (!key.startsWith("f:")) continue;
    // Who set an empty map owns no more than its being there: what others put into it stays.
    const rest = isEmpty(inner)
      ? isFilled(fieldSchema(schema, name), result[name])
        ? result[name]
        : undefined
      : remove(fieldSchema(schema, name), result[name], inner);
    if (rest === undefined || (isRecord(rest) && Object.keys(rest).length === 0)) delete result[name];
    else result[name] = rest;
  }
  return result;
}
