/**
 * Kubernetes' strategic merge patch: a merge patch that merges lists by a key (`patchMergeKey` of the schema) and knows
 * directives: `$patch: replace|delete|merge`, `$deleteFromPrimitiveList/x`, `$setElementOrder/x`, `$retainKeys`.
 */
import { isRecord } from "#model/decode.ts";
import type { SchemaFacts } from "#model/schema.ts";
import { PatchError } from "./json-patch.ts";

type Fields = Readonly<Record<string, unknown>>;

const deleteFrom = "$deleteFromPrimitiveList/";
const setOrder = "$setElementOrder/";

export function applyStrategicMergePatch(target: unknown, patch: unknown, schema: SchemaFacts): unknown {
  if (!isRecord(patch)) return patch;
  return mergeFields(isRecord(target) ? target : {}, patch, schema) ?? {};
}

/** undefined: the patch deletes the whole value. */
function mergeFields(target: Fields, patch: Fields, schema: SchemaFacts): Fields | undefined {
  const directive = patch["$patch"];
  if (directive === "delete") return undefined;
  if (directive === "replace") return stripped(patch);
  if (directive !== undefined && directive !== "merge") throw new PatchError(`unknown directive $patch: ${JSON.stringify(directive)}`, true);
  const result = new Map(Object.entries(target));
  const retain = patch["$retainKeys"];
  if (Array.isArray(retain)) for (const name of result.keys()) if (!retain.includes(name)) result.delete(name);
  for (const [name, value] of Object.entries(patch)) {
    if (name === "$patch" || name === "$retainKeys" || name.startsWith(setOrder)) continue;
    if (name.startsWith(deleteFrom)) {
      const field = name.slice(deleteFrom.length);
      const gone = Array.isArray(value) ? (value as readonly unknown[]) : [];
      const items = result.get(field);
      if (Array.isArray(items))
        result.set(
          field,
          (items as readonly unknown[]).filter((item) => !gone.includes(item)),
        );
    } else if (value === null) result.delete(name);
    else setField(result, name, mergeValue(result.get(name), value, schemaOf(schema, name)));
  }
  for (const [name, order] of Object.entries(patch)) {
    if (!name.startsWith(setOrder) || !Array.isArray(order)) continue;
    const field = name.slice(setOrder.length);
    const items = result.get(field);
    if (Array.isArray(items)) result.set(field, ordered(items, order, asList(target[field]), schemaOf(schema, field).patchMergeKey));
  }
  return Object.fromEntries(result);
}

function setField(result: Map<string, unknown>, name: string, value: unknown): void {
  if (value === undefined) result.delete(name);
  else result.set(name, value);
}

function schemaOf(schema: SchemaFacts, name: string): SchemaFacts {
  return schema.properties?.[name] ?? schema.additionalProperties ?? {};
}

function mergeValue(target: unknown, patch: unknown, schema: SchemaFacts): unknown {
  if (isRecord(patch)) return mergeFields(isRecord(target) ? target : {}, patch, schema);
  if (!Array.isArray(patch) || schema.patchStrategy?.includes("merge") !== true) return patch;
  const items = Array.isArray(target) ? (target as readonly unknown[]) : [];
  const { patchMergeKey } = schema;
  return patchMergeKey === undefined ? mergePrimitives(items, patch) : mergeItems(items, patch, patchMergeKey, schema.items ?? {});
}

function mergePrimitives(items: readonly unknown[], patch: readonly unknown[]): readonly unknown[] {
  return [...new Set([...items, ...patch])];
}

function mergeItems(target: readonly unknown[], patch: readonly unknown[], key: string, schema: SchemaFacts): readonly unknown[] {
  if (patch.some((item) => isRecord(item) && item["$patch"] === "replace" && item[key] === undefined)) {
    return patch.filter((item) => !(isRecord(item) && item["$patch"] === "replace")).map((item) => (isRecord(item) ? stripped(item) : item));
  }
  const result = [...target];
  for (const item of patch) {
    if (!isRecord(item)) throw new PatchError(`a list that is merged by ${JSON.stringify(key)} has objects`, true);
    const value = item[key];
    if (value === undefined) throw new PatchError(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`, true);
    const index = result.findIndex((each) => isRecord(each) && each[key] === value);
    const merged = mergeFields(index < 0 ? {} : (result[index] as Fields), item, schema);
    if (index < 0) {
      if (merged !== undefined) result.push(merged);
    } else if (merged === undefined) {
      // One key may stand for several items (a port number with two protocols): a deletion means them all.
      for (let at = result.length - 1; at >= 0; at--) if (isRecord(result[at]) && (result[at] as Fields)[key] === value) result.splice(at, 1);
    } else result[index] = merged;
  }
  return ordered(result, patch, target, key);
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/**
 * As Kubernetes: items that the patch names come in its order, the others keep theirs; of the two next ones the one that
 * stood first before goes first, and one that is new goes before any.
 */
function ordered(items: readonly unknown[], order: readonly unknown[], before: readonly unknown[], key: string | undefined): readonly unknown[] {
  const idOf = (item: unknown) => (key === undefined || !isRecord(item) ? item : item[key]);
  const rank = new Map(order.map((item, index) => [idOf(item), index]));
  const place = new Map(before.map((item, index) => [idOf(item), index]));
  const named = items.filter((item) => rank.has(idOf(item))).toSorted((a, b) => (rank.get(idOf(a)) ?? 0) - (rank.get(idOf(b)) ?? 0));
  const others = items.filter((item) => !rank.has(idOf(item)));
  const result: unknown[] = [];
  while (named.length > 0 && others.length > 0) {
    const takesOther = (place.get(idOf(others[0])) ?? 0) < (place.get(idOf(named[0])) ?? -1);
    result.push(takesOther ? others.shift() : named.shift());
  }
  return [...result, ...named, ...others];
}

/** Without directives, at any depth. */
function stripped(patch: Fields): Fields {
  const entries = Object.entries(patch).filter(([name]) => !name.startsWith("$"));
  return Object.fromEntries(entries.filter(([, value]) => value !== null).map(([name, value]) => [name, isRecord(value) ? stripped(value) : value]));
}
