/** Walks every set field of a message against the allowlist; the first one that is not there is refused by its path. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { anyUnpack, type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { IGNORED_SUBTREES, KNOWN_EXTENSIONS, SUPPORTED_FIELDS, UNSUPPORTED_VALUES } from "./supported-fields.ts";

const allowed = new Map(Object.entries(SUPPORTED_FIELDS).map(([type, fields]) => [type, new Set(fields.split(" "))]));

export function refuseUnsupported(schema: DescMessage, message: Message, path: string): void {
  walk(reflect(schema, message), path);
}

function walk(message: ReflectMessage, path: string): void {
  const type = message.desc.typeName;
  if (IGNORED_SUBTREES.has(type)) return;
  if (type === AnySchema.typeName) return walkAny(message, path);
  if (type.startsWith("google.protobuf.")) return;
  const fields = allowed.get(type);
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const fieldPath = path === "" ? field.name : `${path}.${field.name}`;
    if (fields !== undefined && !fields.has(field.name)) throw new ConfigProblem(fieldPath, NOT_SUPPORTED);
    const complaint = UNSUPPORTED_VALUES[type]?.[field.name]?.(message.get(field));
    if (complaint !== undefined) throw new ConfigProblem(fieldPath, complaint);
    if (field.fieldKind === "message") walk(message.get(field), fieldPath);
    else if (field.fieldKind === "list" && field.listKind === "message") {
      let i = 0;
      for (const item of message.get(field)) walk(item as ReflectMessage, `${fieldPath}[${i++}]`);
    } else if (field.fieldKind === "map" && field.mapKind === "message") {
      for (const [key, item] of message.get(field)) walk(item as ReflectMessage, `${fieldPath}["${String(key)}"]`);
    }
  }
}

function walkAny(message: ReflectMessage, path: string): void {
  const any = message.message as Any;
  const name = any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1);
  const schema = envoyRegistry.getMessage(name);
  if (!KNOWN_EXTENSIONS.has(name) || schema === undefined) throw new ConfigProblem(path, `${name}: ${NOT_SUPPORTED}`);
  const inner = anyUnpack(any, schema);
  if (inner === undefined) throw new ConfigProblem(path, `${name}: cannot be decoded`);
  walk(reflect(schema, inner), path);
}
