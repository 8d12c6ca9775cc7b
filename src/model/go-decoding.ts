/** How Go's decoder names values, fields and types in its errors: Kubernetes passes them on, and people search for them. */
import { jsonType } from "./problem.ts";
import type { SchemaFacts } from "./schema.ts";

const goTypes: Readonly<Record<string, string>> = { string: "string", boolean: "bool", array: "slice", object: "map[string]interface {}", number: "float64" };

/** "string", "number 1.5". */
export function goValue(schema: SchemaFacts, value: unknown): string {
  const type = jsonType(value);
  if (type === "boolean") return "bool";
  const isNumber = type === "integer" || type === "number";
  return isNumber ? `number${schema.type === "integer" ? ` ${String(value)}` : ""}` : type;
}

/** "v1.Container", "int32". */
export function goTypeOf(schema: SchemaFacts): string {
  return schema.definition?.split(".").slice(-2).join(".") ?? (schema.type === "integer" ? schema.format : goTypes[schema.type ?? ""]) ?? "value";
}

/** "Container.spec.containers.image": the struct that has the field, then the path without indexes and keys of maps. */
export function goField(root: SchemaFacts, path: string): string {
  const names: string[] = [];
  let schema: SchemaFacts | undefined = root;
  let owner = root;
  for (const name of path.split(/\.|(?=\[)/)) {
    if (name.startsWith("[")) schema = schema?.items;
    else if (schema?.properties === undefined) break;
    else {
      owner = schema;
      names.push(name);
      schema = schema.properties[name];
    }
  }
  const struct = owner.definition?.split(".").at(-1);
  return [...(struct === undefined ? [] : [struct]), ...names].join(".");
}
