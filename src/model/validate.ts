/** Whether an object of the right shape is allowed: the schema's limits, names and labels, then the rules of its kind. Returns all problems, never throws. */
import { decodeObject, type Decoded } from "./decode.ts";
import { withDefaults } from "./defaults.ts";
import { kindRules } from "./kind-rules.ts";
import type { KindInfo } from "./kinds.ts";
import { labelBreach, labelValueBreach, qualifiedNameBreach, serviceNameBreach, subdomainBreach } from "./names.ts";
import type { KubeObject, OwnerReference } from "./object.ts";
import { at, duplicate, forbidden, invalid, required, tooLong, tooMany, unsupported, type Problem } from "./problem.ts";
import type { SchemaFacts } from "./schema.ts";

/** `old` on update: immutable fields are compared with it. */
export function validate(info: KindInfo, object: KubeObject, old?: KubeObject): readonly Problem[] {
  const problems = metadataProblems(info, object, old);
  check(info.schema, object, old, "", { builtIn: info.builtIn, problems });
  // As upstream: a definition's rules run on objects of the right shape only, Kubernetes' own kinds are checked as a whole.
  return problems.length > 0 && !info.builtIn ? problems : [...problems, ...kindRules(info, object, old)];
}

/** Decodes, fills in defaults and validates, as the API server does with a new object. For manifests that are read without a server. */
export function admit(info: KindInfo, raw: Readonly<Record<string, unknown>>): Decoded {
  const decoded = decodeObject(info, raw);
  if (decoded.problems.length > 0) return decoded;
  const object = withDefaults(info, decoded.object);
  return { ...decoded, object, problems: validate(info, object) };
}

function metadataProblems(info: KindInfo, object: KubeObject, old: KubeObject | undefined): Problem[] {
  const { name, namespace, labels, annotations, finalizers, ownerReferences } = object.metadata;
  const problems: Problem[] = [];
  if (name === undefined || name === "") return [required("metadata.name", "name or generateName is required")];
  if (old === undefined) {
    const breach = nameRule(info)(name);
    if (breach !== undefined) problems.push(invalid("metadata.name", name, breach));
    if (namespace !== undefined && namespace !== "") {
      const wrong = info.namespaced ? labelBreach(namespace) : undefined;
      if (wrong !== undefined) problems.push(invalid("metadata.namespace", namespace, wrong));
      if (!info.namespaced) problems.push(forbidden("metadata.namespace", "not allowed on this type"));
    }
  }
  for (const [key, value] of Object.entries(labels ?? {})) {
    const wrongKey = qualifiedNameBreach(key);
    if (wrongKey !== undefined) problems.push(invalid("metadata.labels", key, wrongKey));
    const wrongValue = labelValueBreach(value);
    if (wrongValue !== undefined) problems.push(invalid("metadata.labels", value, wrongValue));
  }
  let annotationBytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    annotationBytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    const wrong = qualifiedNameBreach(key.toLowerCase());
    if (wrong !== undefined) problems.push(invalid("metadata.annotations", key, wrong));
  }
  // TotalAnnotationSizeLimitB of apimachinery: 256 KiB.
  if (annotationBytes > 262144) problems.push(tooLong("metadata.annotations", 262144));
  for (const [index, finalizer] of (finalizers ?? []).entries()) {
    const wrong = qualifiedNameBreach(finalizer);
    if (wrong !== undefined) problems.push(invalid("metadata.finalizers", finalizer, wrong));
    else if (!finalizer.includes("/") && !standardFinalizers.includes(finalizer)) {
      problems.push(invalid(`metadata.finalizers[${index}]`, finalizer, "name is neither a standard finalizer name nor is it fully qualified"));
    }
  }
  problems.push(...ownerProblems(ownerReferences ?? []));
  return problems;
}

const standardFinalizers = ["kubernetes", "orphan", "foregroundDeletion"];

function ownerProblems(owners: readonly OwnerReference[]): Problem[] {
  const path = "metadata.ownerReferences";
  const empty = owners.flatMap((owner) => (["apiVersion", "kind", "name", "uid"] as const).filter((field) => (owner[field] ?? "") === ""));
  const problems = empty.map((field) => invalid(`${path}.${field}`, "", field === "apiVersion" ? "version must not be empty" : "must not be empty"));
  const controllers = owners.filter(({ controller }) => controller === true);
  const [first, second] = controllers;
  if (first !== undefined && second !== undefined) {
    problems.push(
      invalid(
        path,
        owners,
        `Only one reference can have Controller set to true. Found "true" in references for ${first.kind}/${first.name} and ${second.kind}/${second.name}`,
      ),
    );
  }
  return problems;
}

function nameRule(info: KindInfo): (name: string) => string | undefined {
  if (info.id === "Namespace") return labelBreach;
  return info.id === "Service" ? serviceNameBreach : subdomainBreach;
}

interface Scope {
  readonly builtIn: boolean;
  readonly problems: Problem[];
}

function check(schema: SchemaFacts, value: unknown, old: unknown, path: string, scope: Scope): void {
  const { problems } = scope;
  if (typeof value === "string") checkText(schema, value, path, scope.problems);
  else if (typeof value === "number") checkNumber(schema, value, path, scope);
  else if (Array.isArray(value)) checkList(schema, value, old, path, scope);
  else if (typeof value === "object" && value !== null) checkFields(schema, value as Readonly<Record<string, unknown>>, old, path, scope);
  for (const rule of schema.rules ?? []) {
    const breach = rule(value as never, old);
    if (breach === undefined) continue;
    const field = breach.field === "" ? path : at(path, breach.field);
    const shown = breach.value ?? (typeof value === "object" ? (Array.isArray(value) ? "array" : "object") : value);
    problems.push(breach.reason === "FieldValueForbidden" ? forbidden(field, breach.message) : invalid(field, shown, breach.message));
  }
}

function checkText(schema: SchemaFacts, value: string, path: string, problems: Problem[]): void {
  if (schema.enum !== undefined && !schema.enum.includes(value)) problems.push(unsupported(path, value, schema.enum));
  const { minLength = 0, maxLength = Infinity, pattern, format } = schema;
  if (value.length < minLength) problems.push(invalid(path, value, `${path} in body should be at least ${minLength} chars long`));
  if (value.length > maxLength) problems.push(tooLong(path, maxLength));
  if (pattern !== undefined && !pattern.test(value))
    problems.push(invalid(path, value, `${path} in body should match '${pattern.source.replaceAll("\\/", "/")}'`));
  const breach = format === undefined ? undefined : formatBreach(format, value);
  if (breach !== undefined) problems.push(invalid(path, value, breach));
}

function formatBreach(format: string, value: string): string | undefined {
  switch (format) {
    case "date-time":
      return /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(value)
        ? undefined
        : 'must be a time as RFC 3339 has it, like "2006-01-02T15:04:05Z"';
    case "duration":
      return durationBreach(value);
    default:
      return undefined;
  }
}

/** As Go's time.ParseDuration, and seconds as protobuf writes them. */
function durationBreach(value: string): string | undefined {
  const isDuration = /^[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|ms|s|m|h))+$/.test(value);
  return isDuration || value === "0" ? undefined : 'must be a valid duration, like "1.5s" or "100ms"';
}

function checkNumber(schema: SchemaFacts, value: number, path: string, { builtIn, problems }: Scope): void {
  const { minimum = -Infinity, maximum = Infinity, numberEnum } = schema;
  if (numberEnum !== undefined && !numberEnum.includes(value)) problems.push(unsupported(path, value, numberEnum));
  if (value >= minimum && value <= maximum) return;
  const both = Number.isFinite(minimum) && Number.isFinite(maximum);
  if (both) problems.push(invalid(path, value, `must be between ${minimum} and ${maximum}${builtIn ? ", inclusive" : ""}`));
  else if (value < minimum) problems.push(invalid(path, value, `must be greater than or equal to ${minimum}`));
  else problems.push(invalid(path, value, `must be less than or equal to ${maximum}`));
}

function checkList(schema: SchemaFacts, value: readonly unknown[], old: unknown, path: string, scope: Scope): void {
  const { builtIn, problems } = scope;
  const { minItems = 0, maxItems = Infinity, items = {}, listType, listMapKeys } = schema;
  // In Kubernetes' own kinds an empty list is a missing one, which is said already.
  if (value.length < minItems && !(builtIn && value.length === 0))
    problems.push(invalid(path, value.length, `${path} in body should have at least ${minItems} items`));
  if (value.length > maxItems) problems.push(tooMany(path, value.length, maxItems));
  const before = Array.isArray(old) ? (old as readonly unknown[]) : [];
  for (const [index, item] of value.entries()) check(items, item, before[index], at(path, index), scope);
  if (listType !== "map" && listType !== "set") return;
  const seen = new Set<string>();
  for (const [index, item] of value.entries()) {
    const key = listType === "set" ? item : keysOf(item, listMapKeys ?? []);
    const text = JSON.stringify(key);
    // Kubernetes lets several unnamed things stand in a list by name.
    if (seen.has(text)) problems.push(duplicate(at(path, index), builtIn && listMapKeys?.length === 1 ? Object.values(key as object)[0] : key));
    seen.add(text);
  }
}

function keysOf(item: unknown, keys: readonly string[]): Readonly<Record<string, unknown>> {
  const fields = item as Readonly<Record<string, unknown>>;
  return Object.fromEntries(keys.map((key) => [key, fields[key]]));
}

function checkFields(schema: SchemaFacts, value: Readonly<Record<string, unknown>>, old: unknown, path: string, scope: Scope): void {
  const { builtIn, problems } = scope;
  const before = typeof old === "object" && old !== null ? (old as Readonly<Record<string, unknown>>) : {};
  for (const name of schema.required ?? []) if (isMissing(value[name], schema.properties?.[name], builtIn)) problems.push(required(at(path, name)));
  const names = Object.keys(value);
  if (names.length > (schema.maxProperties ?? Infinity)) problems.push(tooMany(path, names.length, schema.maxProperties ?? 0));
  for (const name of names) {
    const field = schema.properties?.[name] ?? schema.additionalProperties;
    // Checked by metadataProblems, with its own words.
    if (field !== undefined && !(path === "" && name === "metadata")) check(field, value[name], before[name], at(path, name), scope);
  }
  if (schema.oneOf === undefined) return;
  const set = schema.oneOf.fields.filter((name) => value[name] !== undefined);
  if (set.length > 1) problems.push(invalid(path, "object", `only one of ${set.join(", ")} can be set`));
  if (set.length === 0 && schema.oneOf.exactly === true) problems.push(required(path, `one of ${schema.oneOf.fields.join(", ")} must be set`));
}

/** In Kubernetes' own kinds an empty string or list counts as absent. */
function isMissing(value: unknown, schema: SchemaFacts | undefined, builtIn: boolean): boolean {
  if (value === undefined) return true;
  if (!builtIn) return false;
  if (value === "") return schema?.enum === undefined;
  return Array.isArray(value) && value.length === 0;
}
