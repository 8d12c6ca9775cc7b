/** The JSON Patch (RFC 6902) that turns one JSON value into another: maps field by field, lists as a whole. */
import { structurallyEqual } from "./equal.ts";

export type PatchOperation =
  { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown } | { readonly op: "remove"; readonly path: string };

type Fields = Readonly<Record<string, unknown>>;

export function jsonPatch(before: unknown, after: unknown): readonly PatchOperation[] {
  return differences(before, after, "");
}

function differences(before: unknown, after: unknown, path: string): readonly PatchOperation[] {
  if (!isMap(before) || !isMap(after)) return structurallyEqual(before, after) ? [] : [{ op: "replace", path, value: after }];
  const operations: PatchOperation[] = [];
  for (const name of Object.keys(before)) {
    if (before[name] !== undefined && after[name] === undefined) operations.push({ op: "remove", path: `${path}/${escaped(name)}` });
  }
  for (const [name, value] of Object.entries(after)) {
    if (value === undefined) continue;
    const at = `${path}/${escaped(name)}`;
    if (before[name] === undefined) operations.push({ op: "add", path: at, value });
    else operations.push(...differences(before[name], value, at));
  }
  return operations;
}

function isMap(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** RFC 6901 3. */
function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
