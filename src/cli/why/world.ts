/** The World that `weft why` asks: of a running cluster, or of manifests alone. */
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { isNotFound } from "#client/api-error.ts";
import { connectApi, type ApiClient } from "#client/client.ts";
import { DEFAULT_SETTINGS, NAMES_PORT } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import { isClusterConfig } from "#model/config.ts";
import { findKind, kindIds, KINDS, type KindId } from "#model/kinds.ts";
import { admitManifests, parseManifests, type ManifestObject } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World } from "#model/world.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { chooseCluster, type ClusterChoice } from "#cli/kubernetes/choose-cluster.ts";
import { isForbidden, missingRight } from "#cli/kubernetes/rights.ts";
import { CONFIG_KEY, CONFIG_MAP, decodeKubernetesConfig } from "#model/kubernetes-config.ts";
import type { WhySettings } from "./network.ts";

export interface ClusterWorld {
  readonly world: World;
  readonly settings: WhySettings;
  /** Kinds that the user may not see. */
  readonly hidden: readonly KindId[];
}

/** Of nobody (RFC 5737): who is outside a real cluster may be anybody, and policies by address are asked with an address as FROM. */
const ANYBODY = "203.0.113.9";

/** Kinds that say nothing of traffic. Everything else is read, because some compiler may ask for it. */
const silent: ReadonlySet<KindId> = new Set<KindId>(["Event", "Lease", "ConfigMap", "ServiceAccount", "Deployment", "ReplicaSet"]);
const kinds = kindIds.filter((kind) => !silent.has(kind));

/** Without these an answer is as good, but for what they would have said. */
const mayBeHidden: ReadonlySet<KindId> = new Set<KindId>(["Secret"]);

export async function worldOfCluster(context: CliContext, choice: ClusterChoice): Promise<ClusterWorld> {
  const cluster = await chooseCluster(context, choice);
  const api = connectApi({ host: context.host, ...cluster.access });
  const forbidden: KindId[] = [];
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const items = await listOf(api, kind, forbidden);
      return [kind, new Map(items.map((object) => [objectKey(object), { ...object, ...typeOf(kind) }]))] as const;
    }),
  );
  const needed = forbidden
    .filter((kind) => !mayBeHidden.has(kind))
    .map((kind) => resourceOf(kind))
    .sort();
  if (needed.length > 0)
    throw new CliError(
      `${missingRight("ask why", `list ${needed[0] ?? ""}`)}${needed.length > 1 ? `\n      the same goes for ${needed.slice(1).join(", ")}` : ""}`,
    );
  const world = Object.fromEntries(lists) as World;
  return { world, hidden: forbidden, settings: cluster.kind === "embedded" ? DEFAULT_SETTINGS : await settingsOf(api) };
}

/** A kind that the cluster does not know has no objects. */
async function listOf(api: ApiClient, kind: KindId, forbidden: KindId[]): Promise<readonly KubeObject[]> {
  try {
    return (await api.list(kind)).items as readonly KubeObject[];
  } catch (error) {
    if (isNotFound(error)) return [];
    if (!isForbidden(error)) throw error;
    forbidden.push(kind);
    return [];
  }
}

function resourceOf(kind: KindId): string {
  const { plural, group } = KINDS[kind];
  return group === "" ? plural : `${plural}.${group}`;
}

/** As agents are told. */
async function settingsOf(api: ApiClient): Promise<WhySettings> {
  const map = await api.find("ConfigMap", CONFIG_MAP, "weft-system").catch((error: unknown) => {
    throw isForbidden(error) ? new CliError(missingRight("ask why", "get configmaps in namespace weft-system")) : error;
  });
  const text = map?.data?.[CONFIG_KEY];
  if (text === undefined) throw new CliError("Weft is not installed on this cluster; install it:  weft install --wait");
  const { config, problems } = decodeKubernetesConfig(JSON.parse(text));
  if (config === undefined) throw new CliError(`ConfigMap weft-system/${CONFIG_MAP}: ${problems.join("; ")}; is it of another version of Weft?`);
  const { loadBalancerCIDR: _, ...defaults } = DEFAULT_SETTINGS;
  const { profile, podCIDR, serviceCIDR, dnsAddress, clusterDomain, vni, loadBalancerCIDR } = config;
  return {
    ...defaults,
    isNetworkForeign: profile === "mesh",
    outsideAddress: ANYBODY,
    podCIDR,
    serviceCIDR,
    dnsAddress,
    clusterDomain,
    vni,
    proxyKnownBy: "uid",
    ...(profile === "full" ? { namesPort: NAMES_PORT } : {}),
    ...(loadBalancerCIDR === undefined ? {} : { loadBalancerCIDR }),
  };
}

/** Items of a list do not always say what they are. */
function typeOf(kind: KindId): Pick<KubeObject, "apiVersion" | "kind"> {
  const { group, versions, kind: name } = KINDS[kind];
  const version = versions[0] ?? "v1";
  return { apiVersion: group === "" ? version : `${group}/${version}`, kind: name };
}

export interface FilesWorld {
  readonly world: World;
  /** What stands in the files and says nothing about traffic, or that Weft does not know. */
  readonly ignored: readonly string[];
}

/** Broken YAML and bad values are mistakes; kinds and fields that Weft does not know are left out, and said. */
export async function worldOfFiles(host: Pick<Host, "files">, paths: readonly string[]): Promise<FilesWorld> {
  const files = (await Promise.all(paths.map((path) => manifestFiles(host, path)))).flat();
  if (files.length === 0) throw new CliError(`${paths.join(", ")}: no manifests there (.yaml, .yml, .json)`);
  const objects: KubeObject[] = [];
  const problems: string[] = [];
  const ignored: string[] = [];
  for (const file of files) {
    const { objects: written, problems: broken } = parseManifests(file, await host.files.readText(file));
    const [known, foreign] = partition(written);
    ignored.push(...foreign.map(({ raw, line }) => `${file}:${line}: kind ${String(raw["kind"])} of ${String(raw["apiVersion"])} is not known to Weft`));
    const admitted = admitManifests({ objects: known, problems: broken });
    objects.push(...admitted.objects);
    for (const { line, message } of admitted.problems) (message.includes("unknown field") ? ignored : problems).push(`${file}:${line}: ${message}`);
  }
  if (problems.length > 0) throw new CliError(`the manifests are not as they should be:\n      ${problems.join("\n      ")}`);
  return { world: imagineWorld(objects), ignored };
}

/** A ClusterConfig is for `weft up`, and says nothing about traffic. */
function partition(written: readonly ManifestObject[]): readonly [known: readonly ManifestObject[], foreign: readonly ManifestObject[]] {
  const groups = Map.groupBy(written, ({ raw }) =>
    isClusterConfig(raw) ? "config" : findKind(String(raw["apiVersion"]), String(raw["kind"])) === undefined ? "foreign" : "known",
  );
  return [groups.get("known") ?? [], groups.get("foreign") ?? []];
}

async function manifestFiles({ files }: Pick<Host, "files">, path: string): Promise<readonly string[]> {
  const facts = await files.stat(path);
  if (facts === undefined) throw new CliError(`${path}: no such file or folder`);
  if (facts.kind !== "directory") return [path];
  const found: string[] = [];
  for (const name of (await files.list(path)).toSorted()) {
    const inside = `${path.replace(/\/$/, "")}/${name}`;
    if (/\.(ya?ml|json)$/.test(name)) found.push(inside);
    else if (name !== "node_modules" && !name.startsWith(".") && (await files.stat(inside))?.kind === "directory")
      found.push(...(await manifestFiles({ files }, inside)));
  }
  return found;
}
