/** What a cluster could leave on the machine. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** One line a mount, link, rule table or file of our own namespaces; of shared things only what a cluster makes, since other tests run beside. */
export function readTraces(folders: readonly string[]): readonly string[] {
  const lines = (text: string, wanted: RegExp): readonly string[] => text.split("\n").filter((line) => wanted.test(line));
  const run = (command: string, ...args: string[]): string => spawnSync(command, args, { encoding: "utf8" }).stdout ?? "";
  return [
    ...lines(readFileSync("/proc/self/mountinfo", "utf8"), /weft|netns/),
    ...lines(run("ip", "-o", "link"), /underlay|node-|outside|weft/),
    ...(process.getuid?.() === 0 ? lines(run("nft", "list", "tables"), /weft/) : []),
    ...["/tmp", "/run", "/var/tmp", "/dev/shm"].flatMap((folder) => listed(folder).filter((name) => name.includes("weft") && !TEST_FOLDER.test(name))),
    ...folders.flatMap(listed),
  ];
}

/** As mkdtemp names the folders of tests. */
const TEST_FOLDER = /\/weft-[a-z-]+-[A-Za-z0-9]{6}$/;

export function newTraces(before: readonly string[], after: readonly string[]): readonly string[] {
  return after.filter((line) => !before.includes(line));
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
