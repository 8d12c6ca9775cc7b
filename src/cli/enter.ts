/**
 * `weft enter [NODE|POD|outside] -- COMMAND`: runs any program of this machine in the network of a part of the cluster,
 * with its names resolved as there, on this terminal. Signals go to the program, its exit status comes back, and it
 * dies with us or with the cluster, whichever goes first.
 */
import type { Host } from "#host/host.ts";
import type { Pod } from "#model/core.ts";
import { CliError, type CliContext } from "./context.ts";
import { searchPath } from "./up/preflight.ts";
import { openRunningCluster, type RunningCluster } from "./running-cluster.ts";

const OUTSIDE = "outside";
/** As shells say it. */
const NOT_FOUND = 127;

interface Place {
  /** undefined: the namespace of the control plane, on the underlay bridge. */
  readonly netns: string | undefined;
  /** resolv.conf of the place; undefined: the cluster's own, which asks the machine's resolvers. */
  readonly resolvConf: string | undefined;
}

export async function enter(context: CliContext, name: string, place: string | undefined, command: readonly string[]): Promise<number> {
  const { host, terminal } = context;
  const cluster = await openRunningCluster(context, name);
  const { netns, resolvConf } = await findPlace(cluster, place);
  const shell = terminal.env["SHELL"] ?? "/bin/sh";
  const { promise, resolve } = Promise.withResolvers<number>();
  const env = { ...definedOnly(terminal.env), PATH: searchPath(terminal), ...(resolvConf === undefined ? {} : { WEFT_RESOLV_CONF: resolvConf }) };
  const child = host.processes.spawn({
    command: [
      // Two steps: the namespaces of the cluster, then, where /run is the cluster's, the network of the place.
      ...([
        "env",
        "--ignore-signal=INT,QUIT",
        "setpriv",
        "--pdeathsig",
        "KILL",
        "nsenter",
        "--target",
        String(cluster.record.innerPid),
        "--mount",
        "--pid",
        "--net",
        "--ipc",
      ] as const),
      ...(cluster.record.rootless ? ["--user", "--preserve-credentials"] : []),
      // nsenter stays between us and the command, since a process cannot change its own pid namespace: what a terminal sends
      // to both must not end it, and with it a command that wants to go on.
      ...[
        "--",
        "env",
        "--default-signal=INT,QUIT",
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        ...(netns === undefined ? [] : ["nsenter", `--net=${netns}`]),
      ],
      ...["sh", "-c", PREPARE, "weft-enter", terminal.cwd, ...(command.length === 0 ? [shell] : command)],
    ],
    env: clusterOnly(env),
    cwd: "/",
    output: "inherit",
    onExit: (status) => resolve(status.code ?? 128 + (SIGNALS[status.signal ?? ""] ?? 0)),
  });
  const signals = terminal.onSignal((signal) => {
    // A terminal sends Ctrl-C to all of its foreground processes, the command among them.
    if (signal === "SIGINT" && terminal.inputIsTty) return;
    void signalCommand(host, child.pid, SIGNALS[signal] ?? SIGNALS["SIGTERM"] ?? 0);
  });
  try {
    return await promise;
  } finally {
    signals.release();
  }
}

/**
 * In a mount namespace of its own: names as in the place, and the folder that the user stands in, when it exists there.
 * The shell stays, since it makes a status of a signal that ends the command, which nsenter, deaf to Ctrl-C, does not.
 */
const PREPARE = `
if [ -n "$WEFT_RESOLV_CONF" ]; then
  printf '%s' "$WEFT_RESOLV_CONF" > /run/weft/tmp/resolv.$$ && mount --bind /run/weft/tmp/resolv.$$ "$(readlink -m /etc/resolv.conf)" && rm -f /run/weft/tmp/resolv.$$
  unset WEFT_RESOLV_CONF
fi
cd "$1" 2>/dev/null || cd /
shift
command -v -- "$1" > /dev/null || { echo "weft: this machine has no program \\"$1\\"" >&2; exit ${NOT_FOUND}; }
trap : INT QUIT
setpriv --pdeathsig KILL "$@"
exit $?
`;

/** nsenter and the shell pass no signals on: the command is the only child of the only child. */
async function signalCommand(host: Pick<Host, "files" | "processes">, nsenter: number, signal: number): Promise<void> {
  const childOf = async (pid: number): Promise<number> => {
    const children = await host.files.readText(`/proc/${pid}/task/${pid}/children`).catch(() => "");
    return children.trim().split(" ").filter(Boolean).map(Number)[0] ?? pid;
  };
  host.processes.signal(await childOf(await childOf(nsenter)), signal);
}

/** Of those that end commands in practice. */
const SIGNALS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGTERM: 15 };

async function findPlace({ record, api }: RunningCluster, place: string | undefined): Promise<Place> {
  if (place === undefined) return { netns: undefined, resolvConf: undefined };
  if (place === OUTSIDE) return { netns: `/run/netns/${OUTSIDE}`, resolvConf: undefined };
  if (record.nodes.includes(place)) return { netns: `/run/netns/${place}`, resolvConf: resolvConf(undefined) };
  const pod = await findPod(api, place, record.nodes);
  return { netns: `/run/netns/pod-${pod.metadata.uid ?? ""}`, resolvConf: resolvConf(pod.metadata.namespace ?? "default") };
}

async function findPod(api: RunningCluster["api"], name: string, nodes: readonly string[]): Promise<Pod> {
  const slash = name.indexOf("/");
  const [namespace, pod] = slash < 0 ? ["default", name] : [name.slice(0, slash), name.slice(slash + 1)];
  const pods = await api.list<Pod>(`/api/v1/namespaces/${namespace}/pods`);
  // A name, or the beginning of one, as `weft why` takes them.
  const found = pods.find((each) => each.metadata.name === pod) ?? pods.find((each) => each.metadata.name.startsWith(`${pod}-`));
  if (found !== undefined) return found;
  const known = [...nodes, OUTSIDE, ...pods.map((each) => each.metadata.name)].join(", ");
  throw new CliError(`"${name}" is no node and no pod of namespace ${namespace}; there are: ${known}`);
}

function resolvConf(namespace: string | undefined): string {
  const search = [...(namespace === undefined ? [] : [`${namespace}.svc.cluster.local`]), "svc.cluster.local", "cluster.local"].join(" ");
  return `nameserver 10.96.0.10\nsearch ${search}\noptions ndots:5\n`;
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** The user's own environment, but temporary files go where they die with the cluster. */
function clusterOnly(env: Record<string, string>): Record<string, string> {
  return { ...env, TMPDIR: "/run/weft/tmp" };
}
