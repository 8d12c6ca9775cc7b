/**
 * Reads Kubernetes' protobuf bodies: Go clients, `kubectl create` among them, send built-in kinds in no other form. What is
 * written back is JSON, which they accept. The envelope is `k8s\0` and runtime.Unknown; then each schema's fields by number.
 */
import { KINDS } from "#model/kinds.ts";
import { objectMeta } from "#model/meta.ts";
import { objectReference } from "#model/core.ts";
import { bool, int32, int64, list, struct, text, type SchemaFacts } from "#model/schema.ts";
import { protobufFields } from "./protobuf-fields.ts";
import { ApiError, badRequest } from "./status.ts";

export const PROTOBUF = "application/vnd.kubernetes.protobuf";

const preconditions = struct({}, { uid: text, resourceVersion: text }, { definition: "meta.Preconditions" });
const attributes = struct(
  {},
  { namespace: text, verb: text, group: text, version: text, resource: text, subresource: text, name: text },
  { definition: "authorization.ResourceAttributes" },
);
const otherAttributes = struct({}, { path: text, verb: text }, { definition: "authorization.NonResourceAttributes" });

/** Bodies that are no stored kinds. */
const others: Readonly<Record<string, SchemaFacts>> = {
  DeleteOptions: struct(
    {},
    { gracePeriodSeconds: int64, preconditions, orphanDependents: bool, propagationPolicy: text, dryRun: list(text) },
    { definition: "meta.DeleteOptions" },
  ),
  Binding: struct({}, { metadata: objectMeta, target: objectReference }, { definition: "core.Binding" }),
  Scale: struct(
    {},
    { metadata: objectMeta, spec: struct({}, { replicas: int32 }, { definition: "autoscaling.ScaleSpec" }) },
    { definition: "autoscaling.Scale" },
  ),
  SelfSubjectReview: struct({}, { metadata: objectMeta }, { definition: "authentication.SelfSubjectReview" }),
  SelfSubjectAccessReview: struct(
    {},
    {
      metadata: objectMeta,
      spec: struct({}, { resourceAttributes: attributes, nonResourceAttributes: otherAttributes }, { definition: "authorization.SelfSubjectAccessReviewSpec" }),
    },
    { definition: "authorization.SelfSubjectAccessReview" },
  ),
  SelfSubjectRulesReview: struct(
    {},
    { metadata: objectMeta, spec: struct({}, { namespace: text }, { definition: "authorization.SelfSubjectRulesReviewSpec" }) },
    { definition: "authorization.SelfSubjectRulesReview" },
  ),
};

/** The JSON that the body means. */
export function parseProtobufBody(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    if (Buffer.from(bytes.subarray(0, 4)).toString("latin1") !== "k8s\0") throw badRequest("a protobuf body starts with k8s\\0");
    const envelope = fieldsOf(bytes.subarray(4));
    const meta = fieldsOf(lastBytes(envelope, 1));
    const [apiVersion, kind] = [textOf(lastBytes(meta, 1)), textOf(lastBytes(meta, 2))];
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    const schema = Object.values(KINDS).find((info) => info.builtIn && info.kind === kind && info.group === group)?.schema ?? others[kind];
    if (schema === undefined) throw new ApiError("UnsupportedMediaType", `${kind} of ${apiVersion} is not read from protobuf; send application/json`);
    return { apiVersion, kind, ...messageOf(schema, lastBytes(envelope, 2), kind) };
  } catch (error) {
    if (error instanceof RangeError) throw badRequest("the body is no protobuf message: it ends in the middle of a field");
    throw error;
  }
}

interface WireField {
  readonly number: number;
  /** Varints and fixed numbers as bigint, the rest as bytes. */
  readonly value: bigint | Uint8Array;
}

/** protobuf.dev/programming-guides/encoding. Throws RangeError when it ends too early. */
function fieldsOf(bytes: Uint8Array): readonly WireField[] {
  const fields: WireField[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("varint of more than ten bytes");
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    switch (tag & 7) {
      case 0:
        fields.push({ number, value: varint() });
        break;
      case 1:
        fields.push({ number, value: view.getBigUint64(at, true) });
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        if (at + length > bytes.length) throw new RangeError("field is cut off");
        fields.push({ number, value: bytes.subarray(at, at + length) });
        at += length;
        break;
      }
      case 5:
        fields.push({ number, value: BigInt(view.getUint32(at, true)) });
        at += 4;
        break;
      default:
        throw badRequest(`the body is no protobuf message: wire type ${tag & 7}`);
    }
  }
  return fields;
}

function lastBytes(fields: readonly WireField[], number: number): Uint8Array {
  const value = fields.findLast((field) => field.number === number)?.value;
  return value instanceof Uint8Array ? value : new Uint8Array();
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

interface FieldName {
  readonly name: string;
  readonly isPointer: boolean;
  /** Its own fields stand here. */
  readonly inlined: string | undefined;
}

const tables = new Map<string, ReadonlyMap<number, FieldName>>();

function tableOf(message: string): ReadonlyMap<number, FieldName> | undefined {
  const known = tables.get(message);
  const text = protobufFields[message];
  if (known !== undefined || text === undefined) return known;
  const entries = [...text.matchAll(/(@?)([\w.]+)(\??)=(\d+)/g)].map(([, at, name = "", pointer, number]) => {
    const isInlined = at === "@";
    return [Number(number), { name: isInlined ? "" : name, isPointer: pointer === "?", inlined: isInlined ? name : undefined }] as const;
  });
  const table = new Map(entries);
  tables.set(message, table);
  return table;
}

/** "io.k8s.api.core.v1.Pod" -> "core.Pod"; "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" -> "meta.ObjectMeta". */
function messageName(schema: SchemaFacts): string {
  return (schema.definition ?? "").replace(/^io\.k8s\.(api|apimachinery\.pkg\.apis)\./, "").replace(".v1.", ".");
}

function messageOf(schema: SchemaFacts, bytes: Uint8Array, path: string, name = messageName(schema)): Record<string, unknown> {
  const table = tableOf(name);
  if (table === undefined) throw new ApiError("UnsupportedMediaType", `${path} is not read from protobuf; send application/json`);
  const result: Record<string, unknown> = {};
  for (const { number, value } of fieldsOf(bytes)) {
    const field = table.get(number);
    if (field === undefined) continue;
    if (field.inlined !== undefined) {
      if (value instanceof Uint8Array) Object.assign(result, messageOf(schema, value, path, field.inlined));
      continue;
    }
    const known = schema.properties?.[field.name];
    if (known === undefined) continue;
    const where = `${path}.${field.name}`;
    if (known.type === "array") ((result[field.name] ??= []) as unknown[]).push(valueOf(known.items ?? {}, value, where));
    else if (known.type === "object" && known.additionalProperties !== undefined && value instanceof Uint8Array) {
      const entry = fieldsOf(value);
      const values = (result[field.name] ??= {}) as Record<string, unknown>;
      values[textOf(lastBytes(entry, 1))] = valueOf(known.additionalProperties, lastBytes(entry, 2), where);
    } else {
      const decoded = valueOf(known, value, where);
      const isZero = decoded === "" || decoded === 0 || decoded === false || decoded === undefined;
      if (!isZero || (field.isPointer && decoded !== undefined) || (decoded !== "" && decoded !== undefined && schema.required?.includes(field.name) === true))
        result[field.name] = decoded;
    }
  }
  return result;
}

function valueOf(schema: SchemaFacts, value: bigint | Uint8Array, path: string): unknown {
  if (!(value instanceof Uint8Array)) return schema.type === "boolean" ? value !== 0n : Number(BigInt.asIntN(64, value));
  if (schema.format === "quantity") return textOf(lastBytes(fieldsOf(value), 1));
  if (schema.intOrString === true) return intOrStringOf(value);
  if (schema.format === "date-time") return timeOf(value);
  if (schema.format === "byte") return Buffer.from(value).toString("base64");
  if (schema.type === "string") return textOf(value);
  if (schema.type === "object" && schema.properties === undefined && schema.additionalProperties === undefined && value.length === 0) return undefined;
  return messageOf(schema, value, path);
}

/** IntOrString: type = 1 (0: int), intVal = 2, strVal = 3. */
function intOrStringOf(bytes: Uint8Array): number | string {
  const fields = fieldsOf(bytes);
  const numberOf = (number: number) => Number(BigInt.asIntN(64, (fields.findLast((field) => field.number === number)?.value ?? 0n) as bigint));
  return numberOf(1) === 0 ? numberOf(2) : textOf(lastBytes(fields, 3));
}

/** Time and MicroTime: seconds = 1, nanos = 2. An empty one was not set. */
function timeOf(bytes: Uint8Array): string | undefined {
  const fields = fieldsOf(bytes);
  const numberOf = (number: number) => Number(BigInt.asIntN(64, (fields.findLast((field) => field.number === number)?.value ?? 0n) as bigint));
  const seconds = numberOf(1);
  // Go's zero time.
  if (fields.length === 0 || seconds === -62135596800) return undefined;
  const text = new Date(seconds * 1000).toISOString();
  const micros = Math.floor(numberOf(2) / 1000);
  return micros === 0 ? text.replace(".000Z", "Z") : text.replace(".000Z", `.${String(micros).padStart(6, "0")}Z`);
}
