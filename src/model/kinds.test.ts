import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { findResource, KINDS } from "./kinds.ts";
import type { SchemaFacts } from "./schema.ts";

interface CrdSchema {
  readonly properties?: Readonly<Record<string, CrdSchema>>;
  readonly items?: CrdSchema;
  readonly additionalProperties?: CrdSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
}
interface Crd {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string; readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly served: boolean; readonly schema: { readonly openAPIV3Schema: CrdSchema } }[];
  };
}

const upstream = new URL("../../../shared/upstream/", import.meta.url).pathname;
const gatewayFolder = `${upstream}gateway-api/crds-standard/`;

function loadCrds(): readonly Crd[] {
  const files = [`${upstream}istio/crds.yaml`, ...readdirSync(gatewayFolder).map((name) => gatewayFolder + name)];
  const documents = files.flatMap((file) => [...parseAllDocuments(readFileSync(file, "utf8"))].map((document) => document.toJS() as Crd | null));
  return documents.filter((crd): crd is Crd => crd !== null && "names" in (crd.spec ?? {}));
}

/** Paths that upstream has and our schema would call unknown, wrongly requires, or wrongly limits. */
function differences(theirs: CrdSchema, ours: SchemaFacts | undefined, path: string, found: string[]): string[] {
  if (ours === undefined) found.push(`${path}: unknown to us`);
  else if (ours.type !== undefined || ours.intOrString === true) {
    for (const value of theirs.enum ?? [])
      if (ours.enum !== undefined && value !== "" && !ours.enum.includes(String(value))) found.push(`${path}: lacks ${String(value)}`);
    if (path !== "") for (const name of ours.required ?? []) if (theirs.required?.includes(name) !== true) found.push(`${path}.${name}: required by us only`);
    if (path !== "")
      for (const name of theirs.required ?? []) if (ours.required?.includes(name) !== true) found.push(`${path}.${name}: required upstream only`);
    for (const [name, field] of Object.entries(theirs.properties ?? {})) {
      if (path === "" && name === "metadata") continue;
      if (ours.preserveUnknown === true && ours.properties?.[name] === undefined) continue;
      differences(field, ours.properties?.[name], `${path}.${name}`, found);
    }
    if (path !== "")
      for (const name of Object.keys(ours.properties ?? {}))
        if (theirs.properties !== undefined && theirs.properties[name] === undefined) found.push(`${path}.${name}: upstream has no such field`);
    if (theirs.items !== undefined) differences(theirs.items, ours.items, `${path}[]`, found);
    if (typeof theirs.additionalProperties === "object") differences(theirs.additionalProperties, ours.additionalProperties, `${path}{}`, found);
  }
  return found;
}

describe("kinds", () => {
  test("every field of upstream's Istio and Gateway API definitions is known, and none is invented", (t) => {
    if (!existsSync(`${upstream}istio/crds.yaml`)) {
      t.skip("../shared/upstream is not there: schemas are NOT compared with upstream's definitions");
      return;
    }
    const compared = new Set<string>();
    for (const crd of loadCrds()) {
      const info = findResource(crd.spec.group, crd.spec.names.plural);
      if (info === undefined) continue;
      compared.add(info.id);
      const served = crd.spec.versions.filter((version) => version.served);
      assert.deepEqual(served.map((version) => version.name).toSorted(), info.versions.toSorted(), `versions of ${info.id}`);
      for (const version of served) assert.deepEqual(differences(version.schema.openAPIV3Schema, info.schema, "", []), [], `${info.id} ${version.name}`);
    }
    const foreign = Object.values(KINDS).filter((info) => /istio|gateway/.test(info.group));
    assert.deepEqual([...compared].toSorted(), foreign.map((info) => info.id).toSorted());
  });

  test("no two kinds share a name within a group", () => {
    const names = Object.values(KINDS).map((info) => `${info.group}/${info.plural}`);
    assert.equal(new Set(names).size, names.length);
  });
});
