/** What `-f` and `--config` name: manifests to apply, and ClusterConfig documents to start with. */
import type { Files } from "#host/files.ts";
import { decodeClusterConfig, isClusterConfig, type ImageEntry, type ImageMap } from "#model/config.ts";
import { findKind, type KindInfo } from "#model/kinds.ts";
import { parseManifests, type ManifestObject } from "#model/manifests.ts";
import { CliError } from "#cli/context.ts";
import { messageOf, type ClusterApi } from "#cli/cluster-api.ts";

export interface LoadedManifests {
  readonly objects: readonly ManifestObject[];
  readonly images: ImageMap;
}

/** `FILE:LINE: what is wrong`, one a mistake. */
export type FileProblem = string;

const EXTENSIONS = /\.(ya?ml|json)$/;

/** As readManifests, for those who can do nothing with a part: all problems are told at once. */
export async function loadManifests(files: Files, cwd: string, paths: readonly string[]): Promise<LoadedManifests> {
  const { problems, ...loaded } = await readManifests(files, cwd, paths);
  if (problems.length > 0) throw new CliError(oneParagraph(problems), 1);
  return loaded;
}

export function oneParagraph(problems: readonly FileProblem[]): string {
  return problems.join("\n      ");
}

/**
 * Reads files and folders (with their sub-folders), in the order of their names. A broken document or an unknown kind
 * is a problem beside what can be used. A broken ClusterConfig throws: it counts when a cluster starts, and only then.
 */
export async function readManifests(
  files: Files,
  cwd: string,
  paths: readonly string[],
): Promise<LoadedManifests & { readonly problems: readonly FileProblem[] }> {
  const objects: ManifestObject[] = [];
  const images: ImageEntry[] = [];
  const problems: FileProblem[] = [];
  for (const path of paths) {
    for (const file of await filesAt(files, absolute(cwd, path), path)) {
      const found = parseManifests(file.shown, await readFile(files, file));
      problems.push(...found.problems.map(({ file: name, line, message }) => `${name}:${line}: ${message}`));
      for (const object of found.objects) {
        if (isClusterConfig(object.raw)) images.push(...imagesOf(object, folderOf(file.path)));
        else if (findKind(String(object.raw["apiVersion"]), String(object.raw["kind"])) !== undefined) objects.push(object);
        else
          problems.push(`${object.file}:${object.line}: no matches for kind "${String(object.raw["kind"])}" in version "${String(object.raw["apiVersion"])}"`);
      }
    }
  }
  return { objects, images, problems };
}

function imagesOf(object: ManifestObject, folder: string): readonly ImageEntry[] {
  const { problems, spec } = decodeClusterConfig(object.raw);
  if (problems.length > 0) throw new CliError(oneParagraph(problems.map((problem) => `${object.file}:${object.line}: ClusterConfig: ${problem}`)), 1);
  return (spec.images ?? []).map((image) => withAbsoluteSources(image, folder));
}

interface ShownFile {
  readonly path: string;
  /** As the user named it. */
  readonly shown: string;
}

async function readFile(files: Files, { path, shown }: ShownFile): Promise<string> {
  try {
    return await files.readText(path);
  } catch (error) {
    throw new CliError(`-f ${shown}: cannot be read: ${error instanceof Error ? error.message : String(error)}`, 1);
  }
}

async function filesAt(files: Files, path: string, shown: string): Promise<readonly ShownFile[]> {
  const facts = await files.stat(path);
  if (facts === undefined) throw new CliError(`-f ${shown}: no such file or folder`, 1);
  if (facts.kind !== "directory") return [{ path, shown }];
  const found = [];
  for (const name of await files.list(path)) {
    const inside = await files.stat(`${path}/${name}`);
    if (inside?.kind === "directory" || (inside !== undefined && EXTENSIONS.test(name))) {
      if (name !== "node_modules") found.push(...(await filesAt(files, `${path}/${name}`, `${shown.replace(/\/$/, "")}/${name}`)));
    }
  }
  return found;
}

/** Paths in a ClusterConfig are relative to its file, so that an example works from any folder. */
function withAbsoluteSources(image: ImageEntry, folder: string): ImageEntry {
  if (image.mounts === undefined) return image;
  return { ...image, mounts: image.mounts.map((mount) => ({ ...mount, source: absolute(folder, mount.source) })) };
}

export function absolute(base: string, path: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${base}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function folderOf(file: string): string {
  return file.slice(0, file.lastIndexOf("/"));
}

export interface Applied {
  readonly count: number;
  readonly warnings: readonly string[];
}

/** What others name comes first, so that nothing is warned about that the next file brings. */
const ORDER = ["Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service", "DestinationRule", "Gateway"];
const ROUTES = ["VirtualService", "HTTPRoute"];
/** Requests at once. */
const AT_ONCE = 8;

function rank({ raw }: ManifestObject): number {
  const kind = String(raw["kind"]);
  const early = ORDER.indexOf(kind);
  return early >= 0 ? early : ORDER.length + (ROUTES.includes(kind) ? 1 : 0);
}

/** As applyEach; throws when something was refused, after everything else was applied. */
export async function applyManifests(api: ClusterApi, objects: readonly ManifestObject[]): Promise<Applied> {
  const { problems, ...applied } = await applyEach(api, objects);
  if (problems.length > 0) throw new CliError(oneParagraph(problems), 1);
  return applied;
}

/** Server-side apply of each; what the API refuses stops nothing else. */
export async function applyEach(api: ClusterApi, objects: readonly ManifestObject[]): Promise<Applied & { readonly problems: readonly FileProblem[] }> {
  const warnings: string[] = [];
  const problems: FileProblem[] = [];
  let count = 0;
  for (const [, group] of [...Map.groupBy(objects, rank)].toSorted(([a], [b]) => a - b)) {
    // One that stands twice is applied in order.
    const queue = [...Map.groupBy(group, (object) => objectPath(object) ?? "").values()];
    const worker = async (): Promise<void> => {
      for (let same = queue.shift(); same !== undefined; same = queue.shift()) {
        for (const object of same) {
          const answer = await applyOne(api, object);
          const at = (text: string): string => `${object.file}:${object.line}: ${text}`;
          if (answer.problem === undefined) count += 1;
          else problems.push(at(answer.problem));
          warnings.push(...answer.warnings.map(at));
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }
  return { count, warnings, problems };
}

async function applyOne(api: ClusterApi, object: ManifestObject): Promise<{ readonly problem: string | undefined; readonly warnings: readonly string[] }> {
  const path = objectPath(object);
  if (path === undefined) return { problem: `${String(object.raw["kind"])}: metadata.name: Required value`, warnings: [] };
  try {
    const answer = await api.request("PATCH", `${path}?fieldManager=weft&force=true&fieldValidation=Strict`, {
      body: object.raw,
      contentType: "application/apply-patch+yaml",
    });
    return { problem: answer.status >= 300 ? withName(object, messageOf(answer)) : undefined, warnings: answer.warnings };
  } catch (error) {
    return { problem: `the API gave no answer: ${error instanceof Error ? error.message : String(error)}`, warnings: [] };
  }
}

/** Messages about what cannot be decoded name only the kind. */
function withName({ raw }: ManifestObject, message: string): string {
  const name = (raw["metadata"] as { readonly name: string }).name;
  return message.includes(name) ? message : `${String(raw["kind"])} ${name}: ${message}`;
}

export async function deleteManifests(api: ClusterApi, objects: readonly ManifestObject[]): Promise<void> {
  for (const object of objects) {
    const path = objectPath(object);
    if (path === undefined) continue;
    const answer = await api.request("DELETE", path);
    if (answer.status >= 300 && answer.status !== 404) throw new CliError(`${object.file}:${object.line}: ${messageOf(answer)}`, 1);
  }
}

/** undefined when the object has no name. Its kind is known: readManifests keeps no others. */
function objectPath({ raw }: ManifestObject): string | undefined {
  const { apiVersion, kind, metadata } = raw as { apiVersion: string; kind: string; metadata?: { name?: unknown; namespace?: unknown } };
  const info: KindInfo | undefined = findKind(apiVersion, kind);
  if (info === undefined || typeof metadata?.name !== "string" || metadata.name === "") return undefined;
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = info.namespaced ? `/namespaces/${encodeURIComponent(typeof metadata.namespace === "string" ? metadata.namespace : "default")}` : "";
  return `${base}${namespace}/${info.plural}/${encodeURIComponent(metadata.name)}`;
}
