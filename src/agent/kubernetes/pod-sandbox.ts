/**
 * Finds a pod's sandbox without having been asked to make its network: by its processes (their control groups, which kubelet
 * and the runtime make), and by their network namespace, if that is one of those which the runtime bound to a file. A
 * namespace that an application made for itself is bound to none, so it is never taken for its pod's.
 */
import type { Host } from "#host/host.ts";
import type { PodSandbox } from "#agent/late-pods.ts";
import { controlGroupOf } from "./control-group.ts";

type SandboxHost = Pick<Host, "files" | "netns">;

/** The folder of the runtime's files, as ip-netns(8) has it. */
const NAMESPACES = "/run/netns";
/** proc_pid_stat(5): starttime, counted behind the command's name, which may have blanks and brackets. */
const START_TIME = 22 - 3;

/** A string says what is missing. */
export async function findSandbox(host: SandboxHost, uid: string): Promise<PodSandbox | string> {
  const processes = await processesOf(host, uid);
  // The sandbox's own process begins before all that it is made for.
  const first = processes.toSorted((a, b) => a.startedAt - b.startedAt)[0];
  if (first === undefined) return "none of the node's processes is in its control group";
  const bound = await boundNamespaces(host);
  for (const { pid } of processes) {
    const identity = await host.netns.identity(`/proc/${pid}/ns/net`);
    const netns = identity === undefined ? undefined : bound.get(identity);
    if (netns !== undefined) return { containerId: first.containerId, netns };
  }
  return `the network namespace of its processes is bound to no file in ${NAMESPACES}`;
}

interface PodProcess {
  readonly pid: string;
  readonly containerId: string;
  readonly startedAt: number;
}

async function processesOf({ files }: SandboxHost, uid: string): Promise<PodProcess[]> {
  const found: PodProcess[] = [];
  for (const pid of await files.list("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    // Processes end while they are looked at.
    const group = controlGroupOf(await files.readText(`/proc/${pid}/cgroup`).catch(() => ""));
    if (group?.podUid !== uid) continue;
    const stat = await files.readText(`/proc/${pid}/stat`).catch(() => "");
    const startedAt = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME]);
    if (Number.isFinite(startedAt)) found.push({ pid, containerId: group.containerId, startedAt });
  }
  return found;
}

/** File by identity. The node's own namespace may be bound to one, too, and is no pod's. */
async function boundNamespaces({ files, netns }: SandboxHost): Promise<ReadonlyMap<string, string>> {
  const own = await netns.identity("/proc/self/ns/net");
  const bound = new Map<string, string>();
  for (const name of (await files.stat(NAMESPACES)) === undefined ? [] : await files.list(NAMESPACES)) {
    const path = `${NAMESPACES}/${name}`;
    const identity = await netns.identity(path);
    if (identity !== undefined && identity !== own) bound.set(identity, path);
  }
  return bound;
}
