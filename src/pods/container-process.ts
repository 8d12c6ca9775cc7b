/**
 * One run of a container as processes of this machine, started by us or found again after the runtime was restarted.
 *
 * Containers are not our children in spirit: they write their output and their end into files, so that they live on when
 * the runtime is killed, and the next one adopts them. The status file has JSON lines: first ours (pid and start time of
 * the launching process, which stays for as long as the container does), then bubblewrap's (child-pid, exit-code).
 */
import type { Host } from "#host/host.ts";

export type ProcessHost = Pick<Host, "clock" | "files" | "processes">;

export interface ContainerEnd {
  readonly exitCode: number;
  /** Kubelet's word when it is not plain "Completed" or "Error". */
  readonly reason?: string;
  readonly message?: string;
}

export interface ContainerProcess {
  readonly ended: Promise<ContainerEnd>;
  /** A process of the container's own (what gets SIGTERM, and whose namespaces exec joins); undefined when it is gone. */
  mainPid(): Promise<number | undefined>;
  /** Sends to the container's own process only, as container runtimes do. */
  signal(signal: number): Promise<void>;
  /** Ends everything in the container at once. */
  kill(): Promise<void>;
}

export interface ProcessFiles {
  readonly status: string;
  readonly log: string;
}

interface StatusFacts {
  readonly launcher: { readonly pid: number; readonly startTicks: string } | undefined;
  /** First process of the container's pid namespace, as we see it; undefined for what runs outside of a sandbox. */
  readonly child: number | undefined;
  readonly pidNamespace: string | undefined;
  readonly exitCode: number | undefined;
}

/** Before the command proper: notes who we are. Field 22 of /proc/PID/stat is the start time, which no later process with this pid shares. */
const noteLauncher = 't=$(cut -d" " -f22 /proc/$$/stat); printf \'{"launcher-pid": %s, "start-ticks": "%s"}\\n\' $$ "$t" >>"$1"; shift; exec "$@"';

const SIGKILL = 9;
/** An adopted process cannot be waited for: it is looked at this often. */
const adoptedPollMs = 500;
const unknownEnd: ContainerEnd = { exitCode: 137, reason: "ContainerStatusUnknown", message: "The container ended while the pod runtime was not running" };

export interface LaunchOptions {
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly files: ProcessFiles;
  /** bubblewrap writes into the status file; otherwise the launched process is the container's process. */
  readonly sandboxed: boolean;
}

export async function launchContainer(host: ProcessHost, options: LaunchOptions): Promise<ContainerProcess> {
  const { files } = options;
  let exited: (code: number) => void = () => {};
  const exit = new Promise<number>((resolve) => (exited = resolve));
  host.processes.spawn({
    command: ["/bin/sh", "-c", noteLauncher, "weft-launch", files.status, ...options.command],
    env: options.env,
    output: { file: files.log },
    stdin: "ignore",
    detached: true,
    onExit: (status) => exited(status.code ?? 128 + signalNumber(status.signal)),
  });
  let over = false;
  const ended = exit.then(async (code) => {
    over = true;
    return describeEnd(host, options, code);
  });
  await waitForStart(host, options, () => over);
  return handle(host, options, ended);
}

/** The run that another runtime started, when it still runs or says how it ended; undefined when there never was one. */
export async function adoptContainer(host: ProcessHost, options: Pick<LaunchOptions, "files" | "sandboxed">): Promise<ContainerProcess | undefined> {
  const facts = await readStatus(host, options.files.status);
  if (facts?.launcher === undefined) return undefined;
  const { pid, startTicks } = facts.launcher;
  const ended = new Promise<ContainerEnd>((resolve) => {
    const look = async (): Promise<void> => {
      if ((await startTicksOf(host, pid)) === startTicks) {
        host.clock.after(adoptedPollMs, () => void look());
        return;
      }
      const last = await readStatus(host, options.files.status);
      // Its launcher was killed alone: what it launched must not stay behind.
      if (last?.exitCode === undefined && last !== undefined) await killChild(host, last);
      resolve(last?.exitCode === undefined ? unknownEnd : await describeEnd(host, options, last.exitCode));
    };
    void look();
  });
  return handle(host, options, ended);
}

function handle(host: ProcessHost, options: Pick<LaunchOptions, "files" | "sandboxed">, ended: Promise<ContainerEnd>): ContainerProcess {
  const mainPid = async (): Promise<number | undefined> => {
    const facts = await readStatus(host, options.files.status);
    if (!options.sandboxed) return facts?.launcher?.pid;
    if (facts?.child === undefined) return undefined;
    return firstChild(host, facts.child);
  };
  return {
    ended,
    mainPid,
    async signal(signal) {
      const pid = await mainPid();
      if (pid !== undefined) host.processes.signal(pid, signal);
    },
    async kill() {
      const facts = await readStatus(host, options.files.status);
      if (facts === undefined) return;
      // The first process of a pid namespace takes all others with it.
      if (options.sandboxed && facts.child !== undefined) await killChild(host, facts);
      else if (facts.launcher !== undefined && (await startTicksOf(host, facts.launcher.pid)) === facts.launcher.startTicks) {
        host.processes.signal(facts.launcher.pid, SIGKILL);
      }
    },
  };
}

async function killChild(host: ProcessHost, facts: StatusFacts): Promise<void> {
  if (facts.child === undefined) return;
  const link = await host.processes.run(["readlink", `/proc/${facts.child}/ns/pid`]);
  if (link.stdout.trim() === `pid:[${facts.pidNamespace}]`) host.processes.signal(facts.child, SIGKILL);
}

async function firstChild(host: ProcessHost, pid: number): Promise<number | undefined> {
  // bubblewrap forks the container's process right after it reported its own: a moment later it is there.
  for (let attempt = 0; attempt < 20; attempt++) {
    const text = await host.files.readText(`/proc/${pid}/task/${pid}/children`).catch(() => undefined);
    if (text === undefined) return undefined;
    const first = /\d+/.exec(text);
    if (first !== null) return Number(first[0]);
    await host.clock.sleep(5);
  }
  return undefined;
}

async function waitForStart(host: ProcessHost, options: LaunchOptions, isOver: () => boolean): Promise<void> {
  // A start takes 20 ms on an idle machine; a busy one may need much longer, and nothing is lost by waiting.
  const deadline = host.clock.monotonic() + 10_000;
  while (!isOver() && host.clock.monotonic() < deadline) {
    const facts = await readStatus(host, options.files.status);
    if (options.sandboxed ? facts?.child !== undefined : facts?.launcher !== undefined) return;
    await host.clock.sleep(5);
  }
}

async function readStatus(host: ProcessHost, path: string): Promise<StatusFacts | undefined> {
  const text = await host.files.readText(path).catch(() => undefined);
  if (text === undefined) return undefined;
  let merged: Record<string, unknown> = {};
  for (const line of text.split("\n")) {
    try {
      merged = { ...merged, ...(JSON.parse(line) as Record<string, unknown>) };
    } catch {
      // The last line may be half written.
    }
  }
  const number = (key: string): number | undefined => (typeof merged[key] === "number" ? merged[key] : undefined);
  const pid = number("launcher-pid");
  const namespace = number("pid-namespace");
  return {
    launcher: pid === undefined ? undefined : { pid, startTicks: String(merged["start-ticks"]) },
    child: number("child-pid"),
    pidNamespace: namespace === undefined ? undefined : String(namespace),
    exitCode: number("exit-code"),
  };
}

async function startTicksOf(host: ProcessHost, pid: number): Promise<string | undefined> {
  const stat = await host.files.readText(`/proc/${pid}/stat`).catch(() => undefined);
  // The command's name may contain spaces and parentheses; the fields after its last ")" begin with the third.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined || fields[0] === "Z" ? undefined : fields[19];
}

/** A command that could not be started ends bubblewrap with 1 and a line of its own: say it as container runtimes do. */
async function describeEnd(host: ProcessHost, options: Pick<LaunchOptions, "files" | "sandboxed">, exitCode: number): Promise<ContainerEnd> {
  if (exitCode !== 1 || !options.sandboxed) return { exitCode };
  const facts = await host.files.stat(options.files.log);
  const size = facts?.sizeBytes ?? 0;
  const tail = size === 0 ? new Uint8Array() : await host.files.readFrom(options.files.log, Math.max(0, size - 512), 512);
  const last = Buffer.from(tail).toString("utf8").trimEnd().split("\n").at(-1) ?? "";
  const found = /^bwrap: (.*)$/.exec(last);
  if (found === null) return { exitCode };
  const failed = /^execvp (.*): (.*)$/.exec(found[1] ?? "");
  const message = failed === null ? `sandbox: ${found[1]}` : `exec: ${JSON.stringify(failed[1])}: ${failed[2]?.toLowerCase()}`;
  return { exitCode: 128, reason: "StartError", message };
}

const signals: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGTERM: 15,
};

export function signalNumber(name: string | undefined): number {
  return signals[name ?? ""] ?? SIGKILL;
}
