/** Manifests as people write them: YAML or JSON, many documents in a file, `List` kinds; each object knows where it stands. */
import { isAlias, isMap, LineCounter, parseAllDocuments, type Document } from "yaml";
import { isRecord } from "./decode.ts";
import { findKind } from "./kinds.ts";
import { objectKey, type KubeObject } from "./object.ts";
import { formatProblem } from "./problem.ts";
import { admit } from "./validate.ts";

export interface ManifestObject {
  /** As written; not yet decoded. */
  readonly raw: Readonly<Record<string, unknown>>;
  readonly file: string;
  /** Of the document's first key, from 1. */
  readonly line: number;
}

export interface ManifestProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface Manifests {
  readonly objects: readonly ManifestObject[];
  readonly problems: readonly ManifestProblem[];
}

/** Splits a file into raw objects. Broken YAML is a problem with its line; what else stands in the file is still returned. */
export function parseManifests(file: string, text: string): Manifests {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines });
  const objects: ManifestObject[] = [];
  const problems: ManifestProblem[] = [];
  for (const document of Array.isArray(documents) ? (documents as readonly Document[]) : []) {
    for (const error of document.errors) problems.push({ file, line: lines.linePos(error.pos[0]).line, message: firstLine(error.message) });
    if (document.errors.length > 0 || document.contents === null || isAlias(document.contents)) continue;
    const start = isMap(document.contents) ? document.contents.range?.[0] : undefined;
    const line = start === undefined ? 1 : lines.linePos(start).line;
    // JSON has no aliases; a limit keeps "billion laughs" small.
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null) continue;
    if (!isRecord(value)) problems.push({ file, line, message: "a manifest is a map with apiVersion, kind and metadata" });
    else collect(value, file, line, objects, problems);
  }
  return { objects, problems };
}

function collect(raw: Readonly<Record<string, unknown>>, file: string, line: number, objects: ManifestObject[], problems: ManifestProblem[]): void {
  const { apiVersion, kind, items } = raw;
  if (typeof apiVersion !== "string" || apiVersion === "") problems.push({ file, line, message: "apiVersion: Required value" });
  else if (typeof kind !== "string" || kind === "") problems.push({ file, line, message: "kind: Required value" });
  else if (kind.endsWith("List") && Array.isArray(items)) {
    for (const item of items as readonly unknown[]) if (isRecord(item)) collect(item, file, line, objects, problems);
  } else objects.push({ raw, file, line });
}

/** The library adds the place, which stands before the message already, and the source. */
function firstLine(text: string): string {
  return (text.split("\n")[0] ?? text).replace(/ at line \d+, column \d+:?$/, "");
}

export interface AdmittedManifests {
  readonly objects: readonly KubeObject[];
  readonly problems: readonly ManifestProblem[];
}

/** Decodes, defaults and validates what parseManifests found, without a server. Namespaced objects without a namespace get `namespace`. */
export function admitManifests(manifests: Manifests, namespace = "default"): AdmittedManifests {
  const objects: KubeObject[] = [];
  const problems = [...manifests.problems];
  for (const { raw, file, line } of manifests.objects) {
    const info = findKind(String(raw["apiVersion"]), String(raw["kind"]));
    if (info === undefined) {
      problems.push({ file, line, message: `no matches for kind ${JSON.stringify(raw["kind"])} in version ${JSON.stringify(raw["apiVersion"])}` });
      continue;
    }
    const metadata = isRecord(raw["metadata"]) ? raw["metadata"] : {};
    const placed = info.namespaced ? { namespace, ...metadata } : metadata;
    const { object, unknown, problems: found } = admit(info, { ...raw, metadata: placed });
    const name = `${info.kind} ${objectKey(object)}`;
    for (const field of unknown) problems.push({ file, line, message: `${name}: unknown field ${JSON.stringify(field)}` });
    for (const problem of found) problems.push({ file, line, message: `${name}: ${formatProblem(problem)}` });
    if (found.length === 0) objects.push(object);
  }
  return { objects, problems };
}
