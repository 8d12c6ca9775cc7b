/** Puts manifests into a cluster by server-side apply, and takes out what an older installation had and this one has not. */
import { crdKinds, crdName } from "#compile/install/crds.ts";
import {
  collectionPath,
  describeObject,
  INSTALLATION,
  installKinds,
  INVENTORY_ANNOTATION,
  objectPath,
  SYSTEM,
  VERSION_ANNOTATION,
  type InstallKind,
  type Manifest,
} from "#compile/install/manifest.ts";
import { CONFIG_MAP } from "#model/kubernetes-config.ts";
import type { KubeObject } from "#model/object.ts";
import { messageOf, type ClusterApi } from "#cli/cluster-api.ts";
import { CliError } from "#cli/context.ts";
import { VERSION } from "#cli/version.ts";

export const FIELD_MANAGER = "weft-install";
export const SELECTOR = `${INSTALLATION.key}=${INSTALLATION.value}`;

export function isOurs({ metadata }: KubeObject): boolean {
  return metadata.labels?.[INSTALLATION.key] === INSTALLATION.value;
}

/** Strict: a server that does not know one of the fields says so, and nothing is half done. */
export async function applyObject(api: ClusterApi, object: Manifest): Promise<void> {
  const query = `fieldManager=${FIELD_MANAGER}&force=true&fieldValidation=Strict`;
  const answer = await api.request("PATCH", `${objectPath(object)}?${query}`, { body: object, contentType: "application/apply-patch+yaml" });
  if (answer.status >= 300) throw new CliError(`${describeObject(object)} is refused: ${messageOf(answer)}`, 1);
}

/** True when it was there. */
export async function deleteObject(api: ClusterApi, path: string, propagationPolicy: "Background" | "Foreground" = "Background"): Promise<boolean> {
  const body = { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy };
  const answer = await api.request("DELETE", path, { body, contentType: "application/json" });
  if (answer.status === 404) return false;
  if (answer.status >= 300) throw new CliError(`DELETE ${path} is refused: ${messageOf(answer)}`, 1);
  return true;
}

export interface CrdChoice {
  readonly apply: readonly Manifest[];
  /** "gateways.gateway.networking.k8s.io (not Weft's)". */
  readonly left: readonly string[];
}

/** Definitions that others brought, or a newer Weft, stay as they are: to change them could lose fields of stored objects. */
export async function chooseCrds(api: ClusterApi, crds: readonly Manifest[]): Promise<CrdChoice> {
  const apply: Manifest[] = [];
  const left: string[] = [];
  const chosen = await Promise.all(crds.map(async (crd) => ({ crd, there: await api.find<KubeObject>(objectPath(crd)) })));
  for (const { crd, there } of chosen) {
    const version = there?.metadata.annotations?.[VERSION_ANNOTATION];
    if (there === undefined || (isOurs(there) && !isNewer(version, VERSION))) apply.push(crd);
    else left.push(`${crd.metadata.name} (${isOurs(there) ? `of Weft ${version ?? ""}` : "not Weft's"})`);
  }
  return { apply, left };
}

/** By numbers, as 1.10.0 is newer than 1.9.0. */
export function isNewer(version: string | undefined, than: string): boolean {
  const numbers = (text: string) => text.split(/[.+-]/).map((part) => Number.parseInt(part, 10) || 0);
  const [a, b] = [numbers(version ?? "0"), numbers(than)];
  const differs = a.findIndex((part, index) => part !== (b[index] ?? 0));
  return differs >= 0 && (a[differs] ?? 0) > (b[differs] ?? 0);
}

export interface Found {
  readonly kind: InstallKind;
  readonly object: KubeObject;
  readonly path: string;
}

/** All objects of an installation, of kinds that this Weft installs or that the installation itself lists. */
export async function installedObjects(api: ClusterApi): Promise<readonly Found[]> {
  const kinds = [...installKinds, ...(await inventory(api))];
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const objects = await api.list<KubeObject>(`${collectionPath(kind)}?labelSelector=${encodeURIComponent(SELECTOR)}`);
      return objects.map((bare) => {
        // Items of a list do not say what they are.
        const object = { ...bare, apiVersion: kind.apiVersion, kind: kind.kind };
        return { kind, object, path: `${collectionPath(kind, object.metadata.namespace)}/${object.metadata.name}` };
      });
    }),
  );
  return lists.flat();
}

/** Kinds that the installation has and this Weft does not know. */
async function inventory(api: ClusterApi): Promise<readonly InstallKind[]> {
  const there = await api.find<KubeObject>(`/api/v1/namespaces/${SYSTEM}/configmaps/${CONFIG_MAP}`);
  return parseInventory(there?.metadata.annotations?.[INVENTORY_ANNOTATION] ?? "").filter(
    ({ apiVersion, plural }) => !installKinds.some((each) => each.apiVersion === apiVersion && each.plural === plural),
  );
}

export function parseInventory(text: string): readonly InstallKind[] {
  return text.split(", ").flatMap((entry) => {
    const found = /^(cluster )?(\S+) (\S+)$/.exec(entry);
    const [, cluster, apiVersion = "", plural = ""] = found ?? [];
    return found === null ? [] : [{ apiVersion, kind: plural, plural, namespaced: cluster === undefined }];
  });
}

const isDefinition = ({ object }: Found): boolean => object.kind === "CustomResourceDefinition";

/** Removes what is ours and not wanted any more; namespaces and definitions hold objects of others, and stay. */
export async function prune(api: ClusterApi, wanted: readonly Manifest[]): Promise<{ readonly removed: readonly string[]; readonly left: readonly string[] }> {
  const paths = new Set([...wanted.map(objectPath), ...crdKinds.map((info) => `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crdName(info)}`)]);
  const surplus = (await installedObjects(api)).filter(({ path }) => !paths.has(path));
  const holds = (found: Found): boolean => isDefinition(found) || found.object.kind === "Namespace";
  const removed = surplus.filter((found) => !holds(found)).toReversed();
  for (const { path } of removed) await deleteObject(api, path);
  return { removed: removed.map(({ object }) => describeObject(object)), left: surplus.filter(holds).map(({ object }) => describeObject(object)) };
}
