/** OpenAPI v3 by group version, and v2 as one document, made from the schemas of the kinds. For explain, and for patches that kubectl makes itself. */
import { createHash } from "node:crypto";
import { KINDS, type KindInfo } from "#model/kinds.ts";
import type { SchemaFacts } from "#model/schema.ts";
import { VERSION } from "./discovery.ts";

type Json = Readonly<Record<string, unknown>>;

/** "/openapi/v3": where each group version's document is. */
export function openApiIndex(): Json {
  const paths = groupVersions().map(({ path }) => {
    const hash = createHash("sha256")
      .update(JSON.stringify(openApiV3(path)))
      .digest("hex")
      .toUpperCase();
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }] as const;
  });
  return { paths: Object.fromEntries(paths) };
}

function groupVersions(): readonly { readonly path: string; readonly group: string; readonly version: string }[] {
  const seen = new Map<string, { path: string; group: string; version: string }>();
  for (const { group, versions } of Object.values(KINDS)) {
    for (const version of versions) {
      const path = group === "" ? `api/${version}` : `apis/${group}/${version}`;
      seen.set(path, { path, group, version });
    }
  }
  return [...seen.values()];
}

const cache = new Map<string, Json>();

/** `path` is "api/v1" or "apis/apps/v1". */
export function openApiV3(path: string): Json | undefined {
  const known = cache.get(path);
  if (known !== undefined) return known;
  const found = groupVersions().find((each) => each.path === path);
  if (found === undefined) return undefined;
  const infos = Object.values(KINDS).filter(({ group, versions }) => group === found.group && versions.includes(found.version));
  const writer = new SchemaWriter("#/components/schemas/");
  const paths: Record<string, unknown> = {};
  for (const info of infos) Object.assign(paths, pathsOf(info, found.version, `/${path}`, writer));
  const document = { openapi: "3.0.0", info: { title: "Weft", version: VERSION.gitVersion }, paths, components: { schemas: writer.schemas } };
  cache.set(path, document);
  return document;
}

let v2: Json | undefined;

export function openApiV2(): Json {
  if (v2 !== undefined) return v2;
  const writer = new SchemaWriter("#/definitions/");
  for (const info of Object.values(KINDS)) for (const version of info.versions) writer.kind(info, version);
  v2 = { swagger: "2.0", info: { title: "Weft", version: VERSION.gitVersion }, paths: {}, definitions: writer.schemas };
  return v2;
}

export const OPENAPI_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/**
 * A version 2 document without types, as protobuf (openapi.v2.Document: swagger = 1, info = 2, paths = 8). kubectl and helm
 * ask for it in no other form, and only to check kinds that version 3 does not have: they skip that check, and then say
 * which kind the server lacks. Fields are checked by the server (fieldValidation).
 */
export function openApiV2WithoutTypes(): Uint8Array {
  const field = (number: number, bytes: Uint8Array) => Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  const info = Buffer.concat([field(1, Buffer.from("Weft")), field(2, Buffer.from(VERSION.gitVersion))]);
  return Buffer.concat([field(1, Buffer.from("2.0")), field(2, info), field(8, Buffer.alloc(0))]);
}

function nameOfIntOrString({ format }: SchemaFacts): string {
  return format === "quantity" ? "io.k8s.apimachinery.pkg.api.resource.Quantity" : "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
}

/** The types of one document, each named one written once. */
class SchemaWriter {
  readonly schemas: Record<string, Json> = {};
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  kind(info: KindInfo, version: string): Json {
    const name = `${(info.schema.definition ?? info.kind).replace(/\.v1\.[^.]+$/, "")}.${version}.${info.kind}`;
    if (this.schemas[name] === undefined) {
      const own = this.#body(info.schema);
      this.schemas[name] = {
        ...own,
        description: `${info.kind} (${info.group === "" ? version : `${info.group}/${version}`})`,
        "x-kubernetes-group-version-kind": [{ group: info.group, version, kind: info.kind }],
      };
    }
    return { $ref: `${this.#prefix}${name}` };
  }

  schema(facts: SchemaFacts): Json {
    const { definition, ...rest } = facts.intOrString === true && facts.definition === undefined ? { ...facts, definition: nameOfIntOrString(facts) } : facts;
    if (definition === undefined) return this.#body(facts);
    if (this.schemas[definition] === undefined) {
      this.schemas[definition] = {};
      this.schemas[definition] = this.#body(rest);
    }
    return { allOf: [{ $ref: `${this.#prefix}${definition}` }], ...(facts.default === undefined ? {} : { default: facts.default }) };
  }

  #body(facts: SchemaFacts): Json {
    const { properties, items, additionalProperties, pattern, enum: values } = facts;
    return {
      ...(facts.intOrString === true
        ? { oneOf: [{ type: "integer" }, { type: "string" }], "x-kubernetes-int-or-string": true }
        : facts.type === undefined
          ? {}
          : { type: facts.type }),
      ...copied(facts, ["format", "required", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties", "nullable", "default"]),
      ...(values === undefined ? {} : { enum: values }),
      ...(pattern === undefined ? {} : { pattern: pattern.source }),
      ...(properties === undefined ? {} : { properties: Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, this.schema(field)])) }),
      ...(items === undefined ? {} : { items: this.schema(items) }),
      ...(additionalProperties === undefined ? {} : { additionalProperties: this.schema(additionalProperties) }),
      ...(facts.preserveUnknown === true || (facts.type === undefined && facts.intOrString !== true) ? { "x-kubernetes-preserve-unknown-fields": true } : {}),
      ...(facts.listType === undefined ? (facts.type === "array" ? { "x-kubernetes-list-type": "atomic" } : {}) : { "x-kubernetes-list-type": facts.listType }),
      ...(facts.listMapKeys === undefined ? {} : { "x-kubernetes-list-map-keys": facts.listMapKeys }),
      ...(facts.mapType === undefined ? {} : { "x-kubernetes-map-type": facts.mapType }),
      ...(facts.patchMergeKey === undefined ? {} : { "x-kubernetes-patch-merge-key": facts.patchMergeKey }),
      ...(facts.patchStrategy === undefined ? {} : { "x-kubernetes-patch-strategy": facts.patchStrategy }),
    };
  }
}

function copied(facts: SchemaFacts, names: readonly (keyof SchemaFacts)[]): Json {
  return Object.fromEntries(names.flatMap((name) => (facts[name] === undefined ? [] : [[name, facts[name]]])));
}

const patchTypes = ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
const queryParameter = (name: string, type = "string") => ({ name, in: "query", schema: { type, uniqueItems: true } });

function pathsOf(info: KindInfo, version: string, root: string, writer: SchemaWriter): Json {
  const collection = `${root}${info.namespaced ? "/namespaces/{namespace}" : ""}/${info.plural}`;
  const gvk = { "x-kubernetes-group-version-kind": { group: info.group, version, kind: info.kind } };
  const body = { content: { "application/json": { schema: writer.kind(info, version) } } };
  const responses = { "200": { description: "OK", ...body } };
  const write = [queryParameter("dryRun"), queryParameter("fieldManager"), queryParameter("fieldValidation"), queryParameter("pretty")];
  const operation = (action: string, more: Json = {}) => ({ "x-kubernetes-action": action, ...gvk, responses, ...more });
  const types = info.builtIn ? [...patchTypes, "application/strategic-merge-patch+json"] : patchTypes;
  const patch = { content: Object.fromEntries(types.map((type) => [type, { schema: { type: "object" } }])) };
  const parameters = [
    ...(info.namespaced ? [{ name: "namespace", in: "path", required: true, schema: { type: "string" } }] : []),
    { name: "name", in: "path", required: true, schema: { type: "string" } },
  ];
  return {
    [collection]: {
      parameters: parameters.slice(0, -1),
      get: operation("list"),
      post: operation("post", { parameters: write, requestBody: body }),
      delete: operation("deletecollection"),
    },
    [`${collection}/{name}`]: {
      parameters,
      get: operation("get"),
      put: operation("put", { parameters: write, requestBody: body }),
      patch: operation("patch", { parameters: [...write, queryParameter("force", "boolean")], requestBody: patch }),
      delete: operation("delete"),
    },
  };
}
