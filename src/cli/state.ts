/** Where a cluster keeps its state, and what the running supervisor wrote there about itself. */
import type { Files } from "#host/files.ts";
import { CliError, type CliContext, type Terminal } from "./context.ts";

/** Raised when what is stored changes so that an older Weft would misread it. */
const SCHEMA = 1;

export interface Ports {
  readonly api: number;
  readonly http: number;
  readonly https: number;
}

/** supervisor.json. Ports stay remembered when the cluster is down; the pids are then stale. */
export interface SupervisorRecord {
  readonly pid: number;
  /** Ticks since boot, from /proc/PID/stat: tells a process from a later one with the same pid. */
  readonly startTime: string;
  /** Init of the cluster. */
  readonly innerPid: number;
  readonly startedAt: string;
  readonly nodes: readonly string[];
  readonly rootless: boolean;
  readonly ports: Ports;
  /** Everything asked for at start is done. */
  readonly ready: boolean;
  /** Some of the files that it started with could not be applied. */
  readonly problems: boolean;
}

export function stateFolder(terminal: Terminal, name: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(name)) {
    throw new CliError(`cluster name "${name}" must be lower case letters, digits and "-", at most 32 characters`);
  }
  if (terminal.uid === 0) return `/var/lib/weft/${name}`;
  const { XDG_STATE_HOME, HOME } = terminal.env;
  const base = XDG_STATE_HOME?.startsWith("/") ? XDG_STATE_HOME : HOME === undefined || HOME === "" ? undefined : `${HOME}/.local/state`;
  if (base === undefined) throw new CliError("neither XDG_STATE_HOME nor HOME is set, so there is no folder for the cluster's state; set one of them");
  return `${base}/weft/${name}`;
}

/** Makes the folder, or refuses one that a newer Weft wrote. */
export async function openStateFolder(files: Files, folder: string, uid: number): Promise<void> {
  try {
    await files.makeDirectory(folder, { mode: 0o700 });
  } catch (error) {
    const next = uid === 0 ? "remove what is in its way" : "set XDG_STATE_HOME to a folder of yours";
    throw new CliError(`the state folder cannot be made: ${error instanceof Error ? error.message : String(error)}; ${next}`);
  }
  const file = `${folder}/schema`;
  const found = (await files.stat(file)) === undefined ? undefined : Number(await files.readText(file));
  if (found === undefined) await files.writeAtomic(file, `${SCHEMA}\n`);
  else if (found !== SCHEMA)
    throw new CliError(`${folder} has schema ${found}, this Weft knows ${SCHEMA}; use the Weft that wrote it, or forget the state with --fresh`);
}

export async function readRecord(files: Files, folder: string): Promise<SupervisorRecord | undefined> {
  const file = `${folder}/supervisor.json`;
  if ((await files.stat(file)) === undefined) return undefined;
  try {
    return JSON.parse(await files.readText(file)) as SupervisorRecord;
  } catch {
    return undefined;
  }
}

export function writeRecord(files: Files, folder: string, record: SupervisorRecord): Promise<void> {
  return files.writeAtomic(`${folder}/supervisor.json`, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** The record of a supervisor that is alive; undefined when there is none. */
export async function findRunning(files: Files, folder: string): Promise<SupervisorRecord | undefined> {
  const record = await readRecord(files, folder);
  if (record === undefined) return undefined;
  return (await startTimeOf(files, record.pid)) === record.startTime ? record : undefined;
}

export async function getRunning(context: CliContext, name: string): Promise<SupervisorRecord> {
  const record = await findRunning(context.host.files, stateFolder(context.terminal, name));
  if (record === undefined) throw new CliError(`cluster "${name}" is not running; start it:  weft up${name === "default" ? "" : ` --name ${name}`}`);
  return record;
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process. */
export async function startTimeOf(files: Files, pid: number): Promise<string | undefined> {
  try {
    const text = await files.readText(`/proc/${pid}/stat`);
    // The command stands in parentheses and may hold blanks: count from its end. Field 3 follows.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
