/** What a cluster could leave on the machine. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isAlone } from "./alone.ts";

/** As mkdtemp names the folders of tests. */
const TEST_FOLDER = /\/weft-[a-z-]+-[A-Za-z0-9]{6}$/;

/**
 * One line a process, namespace, mount, link, address, route, rule, listener and temporary file. All of them where we
 * are alone; else of shared things those that only a cluster makes, since other tests run beside.
 */
export function readTraces(folders: readonly string[]): readonly string[] {
  const wanted = (lines: readonly string[], ofClusters: RegExp): readonly string[] => (isAlone ? lines : lines.filter((line) => ofClusters.test(line)));
  return [
    ...wanted(mounts(), /weft|netns|nsfs/),
    ...wanted(output("ip", "-o", "link"), /underlay|node-|outside|weft/),
    ...(isAlone ? [...output("ip", "-o", "addr"), ...output("ip", "route", "show", "table", "all"), ...processes(), ...listeners()] : []),
    ...(process.getuid?.() === 0 ? wanted(output("nft", "list", "ruleset"), /weft/) : []),
    ...listed("/tmp").filter((name) => name.includes("weft") && !TEST_FOLDER.test(name)),
    ...["/run", "/var/tmp", "/dev/shm"].flatMap((folder) => wanted(listed(folder), /weft/)),
    ...folders.flatMap(listed),
  ];
}

export function newTraces(before: readonly string[], after: readonly string[]): readonly string[] {
  return after.filter((line) => !before.includes(line));
}

/** Mount point, kind and source; the ids before them are anew in each reading. */
function mounts(): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .trim()
    .split("\n")
    .map((line) => `mount ${line.split(" ").slice(3).join(" ")}`);
}

/** Not ourselves, nor what we run just now; a zombie counts. */
function processes(): readonly string[] {
  return pids().flatMap((pid) => {
    const stat = readText(`/proc/${pid}/stat`);
    if (pid === String(process.pid) || stat === undefined || parentIn(stat) === String(process.pid)) return [];
    return [`process ${pid} ${(readText(`/proc/${pid}/cmdline`) ?? "").replaceAll("\0", " ")}`];
  });
}

/** Local addresses of TCP sockets that listen and of UDP sockets, and paths of Unix sockets, in our network namespace. */
function listeners(): readonly string[] {
  const LISTEN = "0A";
  const rows = (kind: string): readonly string[][] =>
    (readText(`/proc/net/${kind}`) ?? "")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
  return [
    ...["tcp", "tcp6"].flatMap((kind) =>
      rows(kind)
        .filter((row) => row[3] === LISTEN)
        .map((row) => `${kind} ${row[1] ?? ""}`),
    ),
    ...["udp", "udp6"].flatMap((kind) => rows(kind).map((row) => `${kind} ${row[1] ?? ""}`)),
    ...rows("unix").flatMap((row) => (row[7] === undefined ? [] : [`unix ${row[7]}`])),
  ];
}

function output(command: string, ...args: string[]): readonly string[] {
  return (spawnSync(command, args, { encoding: "utf8" }).stdout ?? "").split("\n").filter((line) => line.trim() !== "");
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: folder !== "/tmp" }).map((name) => `${folder}/${String(name)}`);
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
  const found = new Set<string>();
  for (const each of [String(pid), ...descendants(String(pid))]) {
    for (const kind of ["pid", "net", "mnt"]) {
      const id = namespaceOf(each, kind);
      if (id !== undefined && !own.has(id)) found.add(id);
    }
  }
  return found;
}

/** Pids of all processes below `pid`. */
export function descendants(pid: string): readonly string[] {
  const children = Map.groupBy(pids(), (each) => parentIn(readText(`/proc/${each}/stat`) ?? ""));
  const found: string[] = [];
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const below = children.get(next) ?? [];
    found.push(...below);
    queue.push(...below);
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

/** Of /proc/PID/stat: the command stands in parentheses and may hold blanks. */
function parentIn(stat: string): string | undefined {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
}

/** undefined when the process, or whatever it is, is gone. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
