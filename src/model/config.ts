/**
 * Configuration: `ClusterConfig` is what a user writes, `RuntimeConfig` what `weft up` makes of it, of its flags and of
 * its defaults. Every program of the cluster reads the latter from /run/weft/config.json.
 */
import { decodeObject, isRecord } from "./decode.ts";
import { KINDS, type KindInfo } from "./kinds.ts";
import { objectMeta } from "./meta.ts";
import { formatProblem, invalid, required, type Problem } from "./problem.ts";
import { bool, list, mapOf, struct, text, type Static } from "./schema.ts";

export const CLUSTER_CONFIG_API_VERSION = "weft.dev/v1alpha1";

/** A path of this machine that pods of the image see. */
const imageMount = struct({ source: text, path: text }, { readOnly: bool });
/** Which program of this machine an image name stands for; `match` is a glob, the first that matches counts. */
const imageEntry = struct({ match: text, command: list(text) }, { args: list(text), env: mapOf(text), mounts: list(imageMount) });
const clusterConfigSpec = struct({}, { images: list(imageEntry) });

export type ImageEntry = Static<typeof imageEntry>;
export type ImageMap = readonly ImageEntry[];
export type ClusterConfigSpec = Static<typeof clusterConfigSpec>;

/** Not a kind of the API server: it only lends its shape to the decoder. */
const clusterConfigKind: KindInfo = {
  ...KINDS.ConfigMap,
  kind: "ClusterConfig",
  group: "weft.dev",
  versions: ["v1alpha1"],
  plural: "clusterconfigs",
  singular: "clusterconfig",
  shortNames: [],
  namespaced: false,
  builtIn: false,
  schema: struct({}, { apiVersion: text, kind: text, metadata: objectMeta, spec: clusterConfigSpec }),
};

export function isClusterConfig(raw: Readonly<Record<string, unknown>>): boolean {
  return raw["apiVersion"] === CLUSTER_CONFIG_API_VERSION && raw["kind"] === "ClusterConfig";
}

export interface DecodedClusterConfig {
  readonly spec: ClusterConfigSpec;
  /** "spec.images[0].command: Required value". */
  readonly problems: readonly string[];
}

/** Strict: an unknown field is a problem, because a misspelt one would silently do nothing. */
export function decodeClusterConfig(raw: Readonly<Record<string, unknown>>): DecodedClusterConfig {
  const decoded = decodeObject(clusterConfigKind, raw);
  const { spec } = decoded.object as { readonly spec?: ClusterConfigSpec };
  const problems: Problem[] = [...decoded.problems];
  for (const [index, entry] of (spec?.images ?? []).entries()) {
    const path = `spec.images[${index}]`;
    if (entry.match === undefined || entry.match === "") problems.push(required(`${path}.match`, 'a glob such as "docker.io/istio/examples-*"'));
    if (entry.command === undefined || entry.command.length === 0) problems.push(required(`${path}.command`, "the program to run, with its first arguments"));
    for (const [at, mount] of (entry.mounts ?? []).entries()) {
      if (!isAbsolute(mount.path)) problems.push(invalid(`${path}.mounts[${at}].path`, mount.path, "must be an absolute path"));
    }
  }
  return { spec: spec ?? {}, problems: [...decoded.unknown.map((field) => `unknown field ${JSON.stringify(field)}`), ...problems.map(formatProblem)] };
}

function isAbsolute(path: unknown): boolean {
  return typeof path === "string" && path.startsWith("/");
}

export interface NodeConfig {
  readonly name: string;
  /** On the underlay. */
  readonly address: string;
  readonly podCIDR: string;
}

/** Where the programs' main files are: the sources, or what was bundled of them (cheaper to start and to keep). */
export interface ProgramFolder {
  readonly folder: string;
  readonly extension: "ts" | "mjs";
}

export function programFile({ folder, extension }: ProgramFolder, name: string): string {
  return `${folder}/${name}.${extension}`;
}

/**
 * Options of Node for our programs: MB of V8's young generation, which otherwise grows to 16 during the start, and stays. An
 * idle proxy has 87 MB instead of 97 this way, and no more CPU per request; with Bookinfo control keeps 127 MB instead of
 * 149, an agent 87 instead of 98, a pod runtime 70 instead of 74 (2026-11-21).
 */
export const SMALL_HEAP_OPTIONS: readonly string[] = ["--max-semi-space-size=2"];

/**
 * For programs that are not in the path of every request: V8 collects old garbage early, and gives empty pages back to the kernel at once. Otherwise
 * it keeps every page that it ever had: of two agents that saw 1,000 Services come one had 113 MB of its own, the one with this
 * 39 (bench/kubernetes/README.md, 2026-11-22). NODE_OPTIONS may not have it; `v8.setFlagsFromString` at the start may.
 */
export const MEMORY_SAVER_OPTION = "--memory-saver-mode";

/** Options of Node for these programs. Bundles have this module in them. */
export function preloaded(programs: ProgramFolder, sourceRoot: string): readonly string[] {
  return programs.extension === "ts" ? ["--import", `${sourceRoot}/src/run/flush-compile-cache.ts`] : [];
}

export interface RuntimeConfig {
  /** Of the cluster. */
  readonly name: string;
  readonly nodes: readonly NodeConfig[];
  readonly serviceCIDR: string;
  /** Of the whole cluster; each node has a part of it. */
  readonly podCIDR: string;
  /** Where pods ask names; every node's agent answers it. */
  readonly dnsAddress: string;
  /** "192.168.99.0/24". */
  readonly underlay: string;
  readonly vni: number;
  /** The control plane's address on the underlay; names outside the cluster are asked at its port 53. */
  readonly controlAddress: string;
  readonly apiUrl: string;
  /** host:port of xDS and the CA. */
  readonly xdsAddress: string;
  readonly loadBalancerCIDR: string;
  readonly images: ImageMap;
  /** Survives the cluster: api.db, pki, logs. */
  readonly stateDir: string;
  /** Dies with the cluster: "/run/weft". */
  readonly runDir: string;
  /** Path of the Node binary that runs programs and pods' scripts. */
  readonly node24: string;
  /** The checkout, or where Weft is installed: has src/ and node_modules/. */
  readonly sourceRoot: string;
  readonly programs: ProgramFolder;
  /** An ordinary user started the cluster: it has a user namespace with one uid in it. */
  readonly rootless: boolean;
  /** Host uid that pods run as; only when root started the cluster. */
  readonly podUid?: number;
}

/** What the supervisor wrote; a program that cannot read it was not started by a supervisor. */
export function parseRuntimeConfig(json: string): RuntimeConfig {
  const value: unknown = JSON.parse(json);
  if (!isRecord(value) || typeof value["name"] !== "string" || !Array.isArray(value["nodes"]))
    throw new Error("not a runtime configuration: no name and nodes");
  return value as unknown as RuntimeConfig;
}
