/** What all parts of one pod's worker share. */
import type { Host } from "#host/host.ts";
import type { Log } from "#run/log.ts";
import type { Pod } from "#model/core.ts";
import type { PodFacts } from "./downward.ts";
import type { Sources } from "./environment.ts";
import type { HostFiles } from "./host-files.ts";
import type { PodRecord } from "./record.ts";
import type { PodPaths, PodsSettings, PodUids } from "./settings.ts";

export type PodHost = Pick<Host, "clock" | "files" | "http" | "net" | "netns" | "processes">;

export interface PodContext {
  readonly host: PodHost;
  readonly settings: PodsSettings;
  readonly hostFiles: HostFiles;
  readonly log: Log;
  readonly paths: PodPaths;
  readonly uids: PodUids;
  readonly record: PodRecord;
  /** File of the system call filter. */
  readonly seccomp: string;
  readonly sources: Sources;
  readonly capacity: { readonly cpus: number; readonly memoryBytes: number };
  /** The newest version of the object. */
  pod(): Pod;
}

export function podFacts(context: PodContext): PodFacts {
  const { settings, record, capacity } = context;
  return { podIP: record.podIP ?? "", hostIP: settings.node.address, nodeName: settings.node.name, ...capacity };
}
