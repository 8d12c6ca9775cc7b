/**
 * Istio's and Gateway API's kinds against upstream's CustomResourceDefinitions: every version served, every field known, every
 * limit, default and rule the same. Where Weft means to differ, the difference stands here with its reason.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { kindIds, KINDS, type KindInfo } from "./kinds.ts";
import type { SchemaFacts } from "./schema.ts";

const upstream = new URL("../../../shared/upstream/", import.meta.url).pathname;
const files = [
  "istio/crds.yaml",
  ...["gatewayclasses", "gateways", "httproutes", "referencegrants"].map((name) => `gateway-api/crds-standard/gateway.networking.k8s.io_${name}.yaml`),
];

/** A structural schema as a CustomResourceDefinition has it. */
interface Node {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node | boolean;
  readonly required?: readonly string[];
  readonly enum?: readonly (string | number)[];
  readonly pattern?: string;
  readonly oneOf?: readonly unknown[];
  readonly anyOf?: readonly unknown[];
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: string;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-validations"?: readonly { readonly message?: string }[];
  readonly [fact: string]: unknown;
}

interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly schema: { readonly openAPIV3Schema: Node };
  readonly subresources?: { readonly status?: object };
}

interface Definition {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly Version[];
  };
}

/** What differs on purpose: `field` and `fact` are patterns. */
const meant: readonly { readonly field: RegExp; readonly fact: RegExp; readonly because: string }[] = [
  { field: /^$/, fact: /^required$/, because: "an Istio object without a spec says nothing; it is refused instead of being kept unread" },
  { field: /^(apiVersion|kind|metadata)$/, fact: /^only ours$/, because: "every object has them; Istio's definitions leave them out" },
  { field: /^status\.(conditions|validationMessages)\[\]$/, fact: /^preserves$/, because: "statuses are written by controllers: what they add is kept" },
  { field: /./, fact: /^format duration$/, because: "that a text is a duration is a format of Weft's own" },
  { field: /[pP]ort(|\.number|\.targetPort)$/, fact: /^maximum$/, because: "a port ends at 65535; Istio's webhook says so where its definition does not" },
  { field: /\.weight$/, fact: /^(minimum|maximum)$/, because: "weights go from 0 to 100; Istio's webhook says so where its definition does not" },
  { field: /(inimumRingSize|tableSize)$/, fact: /^maximum$/, because: "the field is an unsigned 32-bit number" },
  { field: /(statusCode|HttpErrorCodes\[\])$/, fact: /^format$/, because: "a status code needs no 64 bits" },
];

describe("upstream's definitions", { skip: existsSync(upstream) ? false : "../shared/upstream is not there: kinds are NOT compared with upstream's" }, () => {
  const definitions = files
    .flatMap((file) => parseAllDocuments(readFileSync(upstream + file, "utf8")))
    .map((document) => document.toJS({ maxAliasCount: -1 }) as Definition | null)
    .filter((definition) => definition !== null);
  const used = new Set<(typeof meant)[number]>();

  for (const info of kindIds.map((id) => KINDS[id]).filter(({ builtIn }) => !builtIn)) {
    test(`${info.kind} of ${info.group} has upstream's names, versions, fields, limits and rules`, () => {
      const definition = definitions.find(({ spec }) => spec.group === info.group && spec.names.plural === info.plural);
      assert.ok(definition, `upstream has no ${info.plural}.${info.group}`);
      const { names, scope, versions } = definition.spec;
      const { kind, plural, singular, shortNames = [], categories = [] } = names;
      assert.deepEqual({ kind, plural, singular, shortNames, categories, scope }, namesOf(info));
      const served = versions.filter((version) => version.served).map(({ name }) => name);
      assert.deepEqual(served.toSorted(), info.versions.toSorted());
      for (const version of versions) {
        const found: Difference[] = [];
        compare(version.schema.openAPIV3Schema, info.schema, "", found);
        const unexplained = found.filter(({ field, fact }) => {
          const reason = meant.find((each) => each.field.test(field) && each.fact.test(fact));
          if (reason !== undefined) used.add(reason);
          return reason === undefined;
        });
        assert.deepEqual(unexplained, [], version.name);
      }
    });
  }

  test("every reason to differ is still needed", () =>
    assert.deepEqual(
      meant.filter((each) => !used.has(each)),
      [],
    ));
});

function namesOf(info: KindInfo) {
  const { kind, plural, singular, shortNames, categories, namespaced } = info;
  return { kind, plural, singular, shortNames: [...shortNames], categories: [...categories], scope: namespaced ? "Namespaced" : "Cluster" };
}

interface Difference {
  readonly field: string;
  readonly fact: string;
  readonly upstream?: unknown;
  readonly ours?: unknown;
}

const sameFacts = ["minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties", "default", "nullable"] as const;

function compare(upstreamNode: Node, ours: SchemaFacts, field: string, found: Difference[]): void {
  if (field === "metadata") return;
  const note = (fact: string, theirs: unknown, own: unknown) => {
    if (JSON.stringify(sorted(theirs)) !== JSON.stringify(sorted(own))) found.push({ field, fact, upstream: theirs, ours: own });
  };
  const isIntOrString = upstreamNode["x-kubernetes-int-or-string"] === true;
  note("int or string", isIntOrString ? true : undefined, ours.intOrString);
  if (!isIntOrString) note("type", upstreamNode.type, ours.type);
  note("enum", upstreamNode.enum?.map(String).toSorted(), (ours.enum ?? ours.numberEnum?.map(String))?.toSorted());
  note(
    "pattern",
    upstreamNode.pattern === undefined ? undefined : plain(upstreamNode.pattern),
    ours.pattern === undefined ? undefined : plain(ours.pattern.source),
  );
  for (const fact of sameFacts) {
    // A length of at least 0 is none.
    const theirs = fact === "minLength" && upstreamNode[fact] === 0 ? undefined : upstreamNode[fact];
    note(fact, theirs, ours[fact]);
  }
  note(ours.format === "duration" ? "format duration" : "format", upstreamNode["format"], ours.format);
  const listType = upstreamNode["x-kubernetes-list-type"];
  note("list type", listType === "atomic" ? undefined : listType, ours.listType);
  note("list keys", upstreamNode["x-kubernetes-list-map-keys"], ours.listMapKeys);
  note("map type", upstreamNode["x-kubernetes-map-type"], ours.mapType);
  note("preserves", upstreamNode["x-kubernetes-preserve-unknown-fields"], ours.preserveUnknown);
  note("required", (upstreamNode.required ?? []).toSorted(), (ours.required ?? []).toSorted());
  const rules = upstreamNode["x-kubernetes-validations"] ?? [];
  const hasRules = ours.rules !== undefined || ours.oneOf !== undefined || field === "spec.controllerName";
  if (rules.length > 0 && !hasRules)
    note(
      "rule",
      rules.map(({ message }) => message),
      undefined,
    );
  // The one with a single choice says nothing.
  const choices = upstreamNode.oneOf ?? (isIntOrString ? undefined : upstreamNode.anyOf);
  if (choices !== undefined && choices.length > 2 && !hasRules) note("choices", choices, undefined);
  compareInner(upstreamNode, ours, field, found);
}

function compareInner(upstreamNode: Node, ours: SchemaFacts, field: string, found: Difference[]): void {
  const inner = (name: string) => (field === "" ? name : `${field}.${name}`);
  const { properties = {}, items, additionalProperties } = upstreamNode;
  for (const [name, node] of Object.entries(properties)) {
    const own = ours.properties?.[name];
    if (own === undefined) found.push({ field: inner(name), fact: "only upstream's" });
    else compare(node, own, inner(name), found);
  }
  for (const name of Object.keys(ours.properties ?? {})) if (properties[name] === undefined) found.push({ field: inner(name), fact: "only ours" });
  if (items !== undefined) compare(items, ours.items ?? {}, `${field}[]`, found);
  if (typeof additionalProperties === "object") compare(additionalProperties, ours.additionalProperties ?? {}, `${field}{}`, found);
}

/** Characters escaped without need make no other pattern. */
function plain(pattern: string): string {
  return pattern.replaceAll(/\\([/-])/g, "$1");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
