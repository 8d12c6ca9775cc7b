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

const EXTENSIONS = /\.(ya?ml|json)$/;

/** Reads files and folders (with their sub-folders), in the order of their names. All problems are told at once. */
export async function loadManifests(files: Files, cwd: string, paths: readonly string[]): Promise<LoadedManifests> {
  const objects: ManifestObject[] = [];
  const images: ImageEntry[] = [];
  const problems: string[] = [];
  for (const path of paths) {
    for (const file of await filesAt(files, absolute(cwd, path), path)) {
      const found = parseManifests(file.shown, await files.readText(file.path));
      problems.push(...found.problems.map(({ file: name, line, message }) => `${name}:${line}: ${message}`));
      for (const object of found.objects) {
        if (isClusterConfig(object.raw)) {
          const config = decodeClusterConfig(object.raw);
          problems.push(...config.problems.map((problem) => `${object.file}:${object.line}: ClusterConfig: ${problem}`));
          if (config.problems.length === 0) images.push(...(config.spec.images ?? []).map((image) => withAbsoluteSources(image, folderOf(file.path))));
        } else if (findKind(String(object.raw["apiVersion"]), String(object.raw["kind"])) === undefined) {
          problems.push(`${object.file}:${object.line}: no matches for kind "${String(object.raw["kind"])}" in version "${String(object.raw["apiVersion"])}"`);
        } else objects.push(object);
      }
    }
  }
  if (problems.length > 0) throw new CliError(problems.join("\n      "), 1);
  return { objects, images };
}

async function filesAt(files: Files, path: string, shown: string): Promise<readonly { readonly path: string; readonly shown: string }[]> {
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

function rank({ raw }: ManifestObject): number {
  const kind = String(raw["kind"]);
  const early = ORDER.indexOf(kind);
  return early >= 0 ? early : ORDER.length + (ROUTES.includes(kind) ? 1 : 0);
}

/** Server-side apply. Goes on after a refusal, and then tells all of them. */
export async function applyManifests(api: ClusterApi, objects: readonly ManifestObject[]): Promise<Applied> {
  const warnings: string[] = [];
  const problems: string[] = [];
  for (const object of objects.toSorted((a, b) => rank(a) - rank(b))) {
    const path = objectPath(object);
    const answer = await api.request("PATCH", `${path}?fieldManager=weft&force=true`, { body: object.raw, contentType: "application/apply-patch+yaml" });
    if (answer.status >= 300) problems.push(`${object.file}:${object.line}: ${messageOf(answer)}`);
    warnings.push(...answer.warnings.map((warning) => `${object.file}:${object.line}: ${warning}`));
  }
  if (problems.length > 0) throw new CliError(problems.join("\n      "), 1);
  return { count: objects.length, warnings };
}

export async function deleteManifests(api: ClusterApi, objects: readonly ManifestObject[]): Promise<void> {
  for (const object of objects) {
    const answer = await api.request("DELETE", objectPath(object));
    if (answer.status >= 300 && answer.status !== 404) throw new CliError(`${object.file}:${object.line}: ${messageOf(answer)}`, 1);
  }
}

function objectPath(object: ManifestObject): string {
  const { apiVersion, kind, metadata } = object.raw as { apiVersion: string; kind: string; metadata?: { name?: unknown; namespace?: unknown } };
  const info: KindInfo | undefined = findKind(apiVersion, kind);
  if (info === undefined || typeof metadata?.name !== "string") throw new CliError(`${object.file}:${object.line}: metadata.name: Required value`, 1);
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = info.namespaced ? `/namespaces/${typeof metadata.namespace === "string" ? metadata.namespace : "default"}` : "";
  return `${base}${namespace}/${info.plural}/${encodeURIComponent(metadata.name)}`;
}
