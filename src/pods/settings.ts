/** What the runtime of one node must know of its cluster, and where it keeps things. */
import type { ImageMap, ProgramFolder } from "#model/config.ts";

export interface PodsSettings {
  readonly node: { readonly name: string; readonly address: string; readonly podCIDR: string };
  /** Place of the node among the cluster's nodes; host uids of its pods are counted from it. */
  readonly nodeIndex: number;
  /** tmpfs that dies with the cluster: /run/weft. */
  readonly runFolder: string;
  /** Folder of network namespace files: /run/netns. */
  readonly netnsFolder: string;
  /** Survives the cluster; container logs are below it. */
  readonly stateFolder: string;
  readonly nodeBinary: string;
  readonly programs: ProgramFolder;
  /** Has node_modules/, which bundled programs need too (native parts). */
  readonly sourceRoot: string;
  /** First host uid for pods when root runs the cluster; undefined: an ordinary user runs it and there is only one uid. */
  readonly firstHostUid: number | undefined;
  readonly dnsAddress: string;
  readonly images: ImageMap;
  /** PEM of the cluster's CA. */
  readonly clusterCa: string;
}

/** Host uids: each pod has one for its processes and one for its proxy; a node has room for this many pods. */
const podsPerNode = 1000;

export interface PodUids {
  readonly processes: number | undefined;
  readonly proxy: number | undefined;
}

export function podUids(settings: Pick<PodsSettings, "firstHostUid" | "nodeIndex">, slot: number): PodUids {
  if (settings.firstHostUid === undefined) return { processes: undefined, proxy: undefined };
  const processes = settings.firstHostUid + settings.nodeIndex * podsPerNode * 2 + slot * 2;
  return { processes, proxy: processes + 1 };
}

/** Paths of one pod. */
export interface PodPaths {
  /** Its proxy's: the bootstrap, and the agent's xds.sock. Never inside a sandbox. */
  readonly proxy: string;
  /** Its sandbox's: etc, volumes, what the runtime notes. */
  readonly own: string;
  readonly netns: string;
  readonly logs: string;
}

export function nodeFolder(settings: PodsSettings): string {
  return `${settings.runFolder}/nodes/${settings.node.name}`;
}

export function podPaths(settings: PodsSettings, pod: { readonly namespace: string; readonly name: string; readonly uid: string }): PodPaths {
  return {
    proxy: `${nodeFolder(settings)}/pods/${pod.uid}`,
    own: `${nodeFolder(settings)}/sandboxes/${pod.uid}`,
    netns: `${settings.netnsFolder}/pod-${pod.uid}`,
    logs: `${settings.stateFolder}/logs/pods/${pod.namespace}_${pod.name}_${pod.uid}`,
  };
}

export function containerFiles(
  paths: PodPaths,
  container: string,
  attempt: number,
): { status: string; options: string; log: string; lastWords: string; folder: string } {
  const folder = `${paths.own}/containers/${container}`;
  return {
    folder,
    status: `${folder}/${attempt}.status`,
    options: `${folder}/${attempt}.options`,
    lastWords: `${folder}/${attempt}.message`,
    log: `${paths.logs}/${container}/${attempt}.log`,
  };
}
