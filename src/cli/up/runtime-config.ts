/** The addresses of an embedded cluster (DESIGN.md's decisions), and what else its programs are told. */
import type { ImageMap, ProgramFolder, RuntimeConfig } from "#model/config.ts";
import type { Terminal } from "#cli/context.ts";

/** Above what systemd gives to containers (uids.md there, as of 2026-11): no user, no container has uids from here on. */
const POD_UID = 1_900_000_000;
/** When root itself is inside a container that maps few uids. */
const LOW_POD_UID = 20_000;
/** 192.168.99.240/28 is for LoadBalancers, .9 for the machine outside, so nodes end at .239. */
export const MAX_NODES = 229;
const FIRST_NODE = 11;

export interface RuntimeConfigOptions {
  readonly name: string;
  readonly stateDir: string;
  readonly nodes: number;
  readonly images: ImageMap;
  readonly programs: ProgramFolder;
  /** /proc/self/uid_map: one line `inside outside count` a range. */
  readonly uidMap: string;
}

export function runtimeConfig(terminal: Terminal, options: RuntimeConfigOptions): RuntimeConfig {
  const control = "192.168.99.1";
  const nodes = Array.from({ length: options.nodes }, (_, index) => ({
    name: `node-${index + 1}`,
    address: `192.168.99.${FIRST_NODE + index}`,
    podCIDR: `10.244.${index}.0/24`,
  }));
  return {
    name: options.name,
    nodes,
    serviceCIDR: "10.96.0.0/16",
    podCIDR: "10.244.0.0/16",
    dnsAddress: "10.96.0.10",
    underlay: "192.168.99.0/24",
    vni: 42,
    controlAddress: control,
    apiUrl: `https://${control}:6443`,
    xdsAddress: `${control}:15012`,
    loadBalancerCIDR: "192.168.99.240/28",
    images: options.images,
    stateDir: options.stateDir,
    runDir: "/run/weft",
    node24: terminal.node,
    sourceRoot: terminal.sourceRoot,
    programs: options.programs,
    rootless: terminal.uid !== 0,
    ...(terminal.uid === 0 ? { podUid: choosePodUid(options.uidMap) } : {}),
  };
}

/** First of the uids that pods of a root cluster run as; each pod takes some of the next. */
function choosePodUid(uidMap: string): number {
  const ranges = uidMap
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  return ranges.some(([first = 0, , count = 0]) => first <= POD_UID && POD_UID < first + count) ? POD_UID : LOW_POD_UID;
}
