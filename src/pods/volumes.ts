/**
 * What is in a pod's volumes: files computed from ConfigMaps, Secrets and the pod itself, or an empty folder. Pure; the
 * files are written by volume-folder.ts. A volume of the host's own files (hostPath) is refused: a pod's file system is an
 * allowlist.
 */
import type { ConfigMap, Pod, Secret } from "#model/core.ts";
import type { Volume } from "#model/pod-parts.ts";
import { downwardField, resourceField, type PodFacts } from "./downward.ts";
import type { ConfigProblem, Sources } from "./environment.ts";

export interface VolumeFile {
  /** Relative; may have folders. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
}

export type VolumeContent =
  | { readonly kind: "files"; readonly files: readonly VolumeFile[] }
  | { readonly kind: "empty" }
  | { readonly kind: "problem"; readonly problem: ConfigProblem };

export interface VolumeContext {
  readonly pod: Pod;
  readonly facts: PodFacts;
  readonly sources: Sources;
  /** PEM of the cluster's CA, for the service account folder. */
  readonly clusterCa: string;
}

interface Item {
  readonly key: string;
  readonly path: string;
  readonly mode?: number | undefined;
}

const defaultMode = 0o644;

export function volumeContent(volume: Volume, context: VolumeContext): VolumeContent {
  if (volume.emptyDir !== undefined) return { kind: "empty" };
  const mode = volume.configMap?.defaultMode ?? volume.secret?.defaultMode ?? volume.downwardAPI?.defaultMode ?? volume.projected?.defaultMode ?? defaultMode;
  if (volume.configMap !== undefined) return one(fromConfigMap({ ...volume.configMap, mode }, context));
  if (volume.secret !== undefined) return one(fromSecret({ ...volume.secret, name: volume.secret.secretName, mode }, context));
  if (volume.downwardAPI !== undefined) return one(fromPod({ items: volume.downwardAPI.items, mode }, context));
  if (volume.projected === undefined) return refused(volume);
  const files = new Map<string, VolumeFile>();
  for (const source of volume.projected.sources ?? []) {
    const part = projected(source, mode, context);
    if ("reason" in part) return { kind: "problem", problem: part };
    // Later sources win, as in Kubernetes.
    for (const file of part) files.set(file.path, file);
  }
  return one([...files.values()]);
}

type Projection = NonNullable<NonNullable<NonNullable<Volume["projected"]>["sources"]>[number]>;

function projected(source: Projection, mode: number, context: VolumeContext): readonly VolumeFile[] | ConfigProblem {
  if (source.configMap !== undefined) return fromConfigMap({ ...source.configMap, mode }, context);
  if (source.secret !== undefined) return fromSecret({ ...source.secret, mode }, context);
  if (source.downwardAPI !== undefined) return fromPod({ items: source.downwardAPI.items, mode }, context);
  // The embedded API knows client certificates only, so there is no token: clients that need none still find the rest.
  if (source.serviceAccountToken !== undefined) return [];
  return { reason: "FailedMount", message: `a projected source other than configMap, secret, downwardAPI and serviceAccountToken is not supported` };
}

interface Reference {
  readonly name?: string | undefined;
  readonly optional?: boolean | undefined;
  readonly items?: readonly Item[] | undefined;
  readonly mode: number;
}

function fromConfigMap(reference: Reference, context: VolumeContext): readonly VolumeFile[] | ConfigProblem {
  const name = reference.name ?? "";
  // Kubernetes puts this one into every namespace; here it is made on the spot when nobody did.
  const object = context.sources.configMap(name) ?? (name === "kube-root-ca.crt" ? rootCa(context) : undefined);
  const entries = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(object?.data ?? {})) entries.set(key, Buffer.from(value, "utf8"));
  for (const [key, value] of Object.entries(object?.binaryData ?? {})) entries.set(key, Buffer.from(value, "base64"));
  return choose({ kind: "configmap", exists: object !== undefined, entries, reference });
}

function fromSecret(reference: Reference, context: VolumeContext): readonly VolumeFile[] | ConfigProblem {
  const object: Secret | undefined = context.sources.secret(reference.name ?? "");
  const entries = new Map<string, Uint8Array>(Object.entries(object?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64")]));
  return choose({ kind: "secret", exists: object !== undefined, entries, reference });
}

interface Choice {
  readonly kind: string;
  readonly exists: boolean;
  readonly entries: ReadonlyMap<string, Uint8Array>;
  readonly reference: Reference;
}

function choose({ kind, exists, entries, reference }: Choice): readonly VolumeFile[] | ConfigProblem {
  const { name = "", optional = false, items = [], mode } = reference;
  if (!exists && !optional) return { reason: "FailedMount", message: `${kind} "${name}" not found` };
  if (items.length === 0) return [...entries].map(([path, content]) => ({ path, content, mode }));
  const files: VolumeFile[] = [];
  for (const item of items) {
    const content = entries.get(item.key);
    if (content === undefined && optional) continue;
    if (content === undefined) return { reason: "FailedMount", message: `${kind} "${name}" references non-existent config key: ${item.key}` };
    const problem = pathProblem(item.path);
    if (problem !== undefined) return { reason: "FailedMount", message: problem };
    files.push({ path: item.path, content, mode: item.mode ?? mode });
  }
  return files;
}

interface DownwardItems {
  readonly items?:
    | readonly {
        path: string;
        mode?: number;
        fieldRef?: { fieldPath: string };
        resourceFieldRef?: { resource: string; containerName?: string; divisor?: string | number };
      }[]
    | undefined;
  readonly mode: number;
}

function fromPod({ items = [], mode }: DownwardItems, { pod, facts }: VolumeContext): readonly VolumeFile[] | ConfigProblem {
  const files: VolumeFile[] = [];
  for (const item of items) {
    const resource = item.resourceFieldRef;
    const container = pod.spec.containers.find((each) => each.name === resource?.containerName);
    const asked =
      resource === undefined ? undefined : { resource: resource.resource, divisor: resource.divisor === undefined ? undefined : String(resource.divisor) };
    const value =
      item.fieldRef !== undefined
        ? downwardField(pod, facts, item.fieldRef.fieldPath)
        : container !== undefined && asked !== undefined
          ? resourceField(container, facts, asked)
          : undefined;
    const problem = value === undefined ? `downwardAPI item ${JSON.stringify(item.path)} names a field that is not supported` : pathProblem(item.path);
    if (value === undefined || problem !== undefined) return { reason: "FailedMount", message: problem ?? "" };
    files.push({ path: item.path, content: Buffer.from(value, "utf8"), mode: item.mode ?? mode });
  }
  return files;
}

/** Where Kubernetes' admission puts a service account's files; added here to pods that did not opt out. */
export const serviceAccountVolume: Volume = {
  name: "kube-api-access",
  projected: {
    sources: [
      { serviceAccountToken: { path: "token" } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      { downwardAPI: { items: [{ path: "namespace", fieldRef: { fieldPath: "metadata.namespace" } }] } },
    ],
  },
};
export const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount";

function rootCa(context: VolumeContext): ConfigMap {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kube-root-ca.crt" }, data: { "ca.crt": context.clusterCa } };
}

function one(files: readonly VolumeFile[] | ConfigProblem): VolumeContent {
  return "reason" in files ? { kind: "problem", problem: files } : { kind: "files", files };
}

function refused(volume: Volume): VolumeContent {
  const kind = Object.keys(volume).find((key) => key !== "name") ?? "none";
  const message = `volume "${volume.name}": ${kind} is not supported by this runtime; use configMap, secret, emptyDir, projected or downwardAPI`;
  return { kind: "problem", problem: { reason: "FailedMount", message } };
}

function pathProblem(path: string): string | undefined {
  if (path === "" || path.startsWith("/") || path.split("/").includes("..")) return `path ${JSON.stringify(path)} must be relative and must not contain ".."`;
  return path.startsWith("..") ? `path ${JSON.stringify(path)} must not begin with ".."` : undefined;
}
