/**
 * The cluster as a child process: namespaces, a small init, and the inner half of the supervisor in them. Nothing of it
 * can outlive us, by any death: setpriv asks the kernel to kill unshare when we die, unshare asks the same for init, and
 * when init is gone the kernel kills everything in its pid namespace and removes the other namespaces. That the inner
 * half ends when its input does covers the moment before setpriv ran.
 *
 * `flock` holds the state folder's lock in the process that waits for init, so the lock is free exactly when the cluster
 * is gone, and nothing inside inherits it.
 */
import type { Host } from "#host/host.ts";
import { preloaded, programFile, type ProgramFolder } from "#model/config.ts";
import type { ChildProcess, ExitStatus } from "#host/processes.ts";
import { lineReader, type FromInner, type ToInner } from "#model/supervisor-link.ts";
import { CliError, type Terminal } from "#cli/context.ts";
import { namespaceRefusal, searchPath } from "./preflight.ts";

/** Exit statuses that nothing else uses. */
const ALREADY_LOCKED = 75;
const INSIDE_REFUSED = 101;

/**
 * Runs as PID 1 of the cluster. The shell reads its own pid while /proc is still the outer one, gives the cluster its own
 * /proc and /run, then waits for the inner half and reaps what else ends (Node as PID 1 would not). resolv.conf may be
 * a link into the old /run, so its target is made again: programs started by `weft enter` read it.
 */
const INIT = `
read pid rest < /proc/self/stat
mount -t proc proc /proc && mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run || exit ${INSIDE_REFUSED}
mkdir -p /run/weft && echo "nameserver $WEFT_NAMESERVER" > /run/weft/resolv.conf
target=$(readlink -m /etc/resolv.conf)
[ -e "$target" ] || { mkdir -p "\${target%/*}" && : > "$target"; } 2>/dev/null
mount --bind /run/weft/resolv.conf "$target" 2>/dev/null
printf '{"kind":"init","pid":%s}\\n' "$pid"
exec 3<&0
"$@" <&3 3<&- &
exec 3<&-
wait $!
`;

export interface ClusterProcess {
  /** Init, as seen from here. */
  readonly initPid: number;
  send(message: ToInner): void;
  kill(): void;
  readonly ended: Promise<ExitStatus>;
}

export interface ClusterProcessOptions {
  readonly stateDir: string;
  readonly nameserver: string;
  readonly programs: ProgramFolder;
  readonly received: (message: FromInner) => void;
}

export async function startClusterProcess(host: Host, terminal: Terminal, options: ClusterProcessOptions): Promise<ClusterProcess> {
  const { sourceRoot, node } = terminal;
  const { programs } = options;
  const { promise: ended, resolve: finish } = Promise.withResolvers<ExitStatus>();
  const { promise: initPid, resolve: initStarted } = Promise.withResolvers<number | undefined>();
  let said = "";
  const received = lineReader<FromInner>((message) => (message.kind === "init" ? initStarted(message.pid) : options.received(message)));
  const child: ChildProcess = host.processes.spawn({
    command: [
      ...(["flock", "--nonblock", "--conflict-exit-code", String(ALREADY_LOCKED), "--no-fork", `${options.stateDir}/lock`] as const),
      ...["setpriv", "--pdeathsig", "KILL"],
      ...["unshare", ...(terminal.uid === 0 ? [] : ["--user", "--map-root-user"]), "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child=KILL"],
      ...["sh", "-c", INIT, "weft-init", node, ...preloaded(programs, sourceRoot), programFile(programs, "supervisor")],
    ],
    env: { ...clusterEnv(terminal), WEFT_NAMESERVER: options.nameserver },
    cwd: "/",
    stdin: "pipe",
    // Its own session: Ctrl-C of the terminal is for us, and we stop it in order.
    detached: true,
    output: {
      onStdout: received,
      onStderr: (bytes) => {
        said = (said + Buffer.from(bytes).toString()).slice(-4096);
      },
    },
    onExit: (status) => {
      initStarted(undefined);
      finish(status);
    },
  });
  const pid = await initPid;
  if (pid === undefined) {
    const status = await ended;
    if (status.code === ALREADY_LOCKED) throw new CliError("already running");
    throw new CliError(await namespaceRefusal(host, terminal.uid, said));
  }
  const text = new TextEncoder();
  return {
    initPid: pid,
    send: (message) => child.writeStdin(text.encode(`${JSON.stringify(message)}\n`)),
    kill: () => child.kill("SIGKILL"),
    ended: ended.then((status) => {
      if (said !== "") terminal.err(said);
      return status;
    }),
  };
}

/** A process of the cluster, or one that starts it, holds the lock of its state folder. */
export async function isLocked({ files, processes }: Pick<Host, "files" | "processes">, stateDir: string): Promise<boolean> {
  const lock = `${stateDir}/lock`;
  if ((await files.stat(lock)) === undefined) return false;
  return (await processes.run(["flock", "--nonblock", "--conflict-exit-code", String(ALREADY_LOCKED), lock, "true"])).code === ALREADY_LOCKED;
}

/** The environment of everything in the cluster: nothing of the user's but the language; temporary files die with /run. */
export function clusterEnv(terminal: Terminal): Record<string, string> {
  const cache = compileCache(terminal);
  return {
    PATH: searchPath(terminal),
    HOME: "/run/weft/tmp",
    TMPDIR: "/run/weft/tmp",
    // Each thread of Node's pools would have an arena of its own: 5 MB of a program's 40, for nothing (2026-11-21).
    MALLOC_ARENA_MAX: "2",
    LANG: terminal.env["LANG"] ?? "C.UTF-8",
    ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
  };
}

/** The folder that the launcher chose for this user. */
function compileCache(terminal: Terminal): string | undefined {
  return terminal.env["WEFT_COMPILE_CACHE"];
}
