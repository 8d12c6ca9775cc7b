/** What a cluster could leave on the machine. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Traces {
  readonly mounts: string;
  readonly links: string;
  readonly rules: string;
  readonly temporary: readonly string[];
}

/** Of our own namespaces. Links and rules only as far as a cluster makes them, since other programs may run beside the test. */
export function readTraces(folders: readonly string[]): Traces {
  const run = (command: string, ...args: string[]): string => spawnSync(command, args, { encoding: "utf8" }).stdout ?? "";
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  return {
    mounts: mounts
      .split("\n")
      .filter((line) => /weft|netns/.test(line))
      .join("\n"),
    links: run("ip", "-o", "link")
      .split("\n")
      .filter((line) => /underlay|node-|outside|weft/.test(line))
      .join("\n"),
    rules: process.getuid?.() === 0 ? run("nft", "list", "tables") : "",
    temporary: ["/tmp", "/run", "/var/tmp", "/dev/shm", ...folders].flatMap((folder) =>
      listed(folder).filter((name) => folders.includes(folder) || isOurs(name)),
    ),
  };
}

function isOurs(name: string): boolean {
  return name.includes("weft") && !name.startsWith("weft-user-");
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder).map((name) => `${folder}/${name}`);
  } catch {
    return [];
  }
}

/** Processes of a pid namespace or in any of the network namespaces, by their ids. */
export function processesIn(namespaces: ReadonlySet<string>): readonly string[] {
  return pids().filter((pid) => ["pid", "net", "mnt"].some((kind) => namespaces.has(namespaceOf(pid, kind) ?? "")));
}

/** Ids of all namespaces that processes below `pid` are in, without those that we are in ourselves. */
export function namespacesBelow(pid: number): ReadonlySet<string> {
  const own = new Set(["pid", "net", "mnt"].map((kind) => namespaceOf("self", kind)));
  const children = new Map<string, string[]>();
  for (const each of pids()) {
    const parent = parentOf(each);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), each]);
  }
  const found = new Set<string>();
  const queue = [String(pid)];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    queue.push(...(children.get(next) ?? []));
    for (const kind of ["pid", "net", "mnt"]) {
      const id = namespaceOf(next, kind);
      if (id !== undefined && !own.has(id)) found.add(id);
    }
  }
  return found;
}

function pids(): readonly string[] {
  return readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name));
}

function namespaceOf(pid: string, kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

function parentOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
  } catch {
    return undefined;
  }
}
