/** `weft up`: makes the cluster, says what happens with times, applies what was asked for, and stays until it is told to end. */
import type { Clock } from "#host/clock.ts";
import type { FromInner } from "#model/supervisor-link.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { Progress } from "#cli/progress.ts";
import { openRunningCluster } from "#cli/running-cluster.ts";
import { findRunning, openStateFolder, readRecord, stateFolder } from "#cli/state.ts";
import { VERSION } from "#cli/version.ts";
import { bundledPrograms } from "./bundled-programs.ts";
import { detach } from "./detach.ts";
import { findEntryPath } from "./entry-path.ts";
import { absolute, applyManifests, loadManifests, type LoadedManifests } from "./manifests.ts";
import { requirePrograms } from "./preflight.ts";
import { MAX_NODES } from "./runtime-config.ts";
import { rememberImages } from "./remembered-images.ts";
import { Session, type SessionOptions } from "./session.ts";
import { waitForApi, waitForNodes, waitForPods, type Waiter } from "./waiting.ts";

export interface UpOptions {
  readonly name: string;
  /** undefined: as many as last time, else two. */
  readonly nodes: number | undefined;
  readonly file: readonly string[];
  readonly config: string | undefined;
  readonly fresh: boolean;
  readonly detach: boolean;
  /** Set for the process that --detach leaves behind. */
  readonly background: boolean;
  /** For tests: a folder with stand-ins of control.ts, agent.ts and pods.ts. */
  readonly programs: string | undefined;
}

const DEFAULT_NODES = 2;
const TELL_AGAIN_MS = 10_000;
const API_TIMEOUT_MS = 60_000;
const NODES_TIMEOUT_MS = 60_000;
const PODS_TIMEOUT_MS = 180_000;

export async function up(context: CliContext, options: UpOptions): Promise<number> {
  const { host, terminal } = context;
  const { nodes: wanted } = options;
  if (wanted !== undefined && (!Number.isInteger(wanted) || wanted < 1 || wanted > MAX_NODES))
    throw new CliError(`--nodes must be a number from 1 to ${MAX_NODES}`);
  const stateDir = stateFolder(terminal, options.name);
  const manifests = await loadManifests(host.files, terminal.cwd, [...(options.config === undefined ? [] : [options.config]), ...options.file]);
  await requirePrograms(host, terminal);
  if ((await findRunning(host.files, stateDir)) !== undefined) return applyToRunning(context, options, manifests);
  if (options.detach && !options.background) return detach(context, stateDir);
  if (options.fresh) await host.files.remove(stateDir);
  await openStateFolder(host.files, stateDir);
  const nodes = wanted ?? (await readRecord(host.files, stateDir))?.nodes.length ?? DEFAULT_NODES;
  const images = await rememberImages(host.files, stateDir, manifests.images);

  const progress = new Progress(host.clock, terminal);
  terminal.out(`weft ${VERSION}  cluster "${options.name}"  as ${terminal.uid === 0 ? "root" : "an ordinary user"} (no eBPF: services by nftables)\n`);
  const stopping = { asked: false };
  const tell = restartTeller(progress, host.clock);
  const onExited = (message: FromInner & { kind: "exited" }): void => (stopping.asked ? undefined : tell(message));
  const session = await beginSession(context, {
    ...options,
    nodes,
    stateDir,
    images,
    onExited,
    began: () => progress.say("namespaces", made(terminal.uid)),
  });
  const signals = terminal.onSignal(() => {
    if (stopping.asked) session.kill();
    else {
      stopping.asked = true;
      void session.stop();
    }
  });
  try {
    await bringUp({ clock: host.clock, progress, api: session.api, signal: session.signal }, context, { session, options, manifests });
    await session.markReady();
    await new Promise<void>((_, reject) => {
      const ended = (): void => reject(session.signal.reason as CliError);
      if (session.signal.aborted) ended();
      else session.signal.addEventListener("abort", ended);
    });
  } catch (error) {
    await session.stop();
    if (!stopping.asked) throw error;
  } finally {
    signals.release();
  }
  return 0;
}

/** A second `weft up` of a name does what it still can: it applies files. */
async function applyToRunning(context: CliContext, options: UpOptions, manifests: LoadedManifests): Promise<number> {
  const { record, api } = await openRunningCluster(context, options.name);
  const option = options.name === "default" ? "" : ` --name ${options.name}`;
  if (manifests.objects.length === 0 || manifests.images.length > 0 || options.fresh || options.nodes !== undefined) {
    const what = manifests.images.length > 0 ? "; a ClusterConfig counts when a cluster starts" : "";
    throw new CliError(`cluster "${options.name}" is running already (pid ${record.pid})${what}; look:  weft status${option}   end it:  weft down${option}`, 1);
  }
  const applied = await applyManifests(api, manifests.objects);
  context.terminal.out(`applied ${applied.count} objects to cluster "${options.name}", which runs already\n`);
  for (const warning of applied.warnings) context.terminal.err(`Warning: ${warning}\n`);
  return 0;
}

/** One line for the first end of a program, then at most one in ten seconds: one that cannot start would fill the screen. */
function restartTeller(progress: Progress, clock: Clock): (message: FromInner & { kind: "exited" }) => void {
  const ends = new Map<string, { count: number; toldAt: number }>();
  return ({ program, status, log }) => {
    const known = ends.get(program);
    const entry = known ?? { count: 0, toldAt: clock.monotonic() };
    ends.set(program, entry);
    entry.count += 1;
    if (known !== undefined && clock.monotonic() - entry.toldAt < TELL_AGAIN_MS) return;
    entry.toldAt = clock.monotonic();
    progress.say(program, `ended (${status})${entry.count > 1 ? `, ${entry.count} times now` : ""}, starting it again; its log: ${log}`);
  };
}

function made(uid: number): string {
  return uid === 0 ? "net, pid, mount, ipc" : "user, net, pid, mount, ipc";
}

async function beginSession(
  context: CliContext,
  options: Omit<UpOptions, "nodes"> & Pick<SessionOptions, "nodes" | "stateDir" | "images" | "onExited"> & { readonly began: () => void },
): Promise<Session> {
  const { host, terminal } = context;
  const ownPrograms = await bundledPrograms(host, terminal.sourceRoot);
  const programs = options.programs === undefined ? ownPrograms : ({ folder: absolute(terminal.cwd, options.programs), extension: "ts" } as const);
  return Session.begin(host, terminal, { ...options, programs, ownPrograms }, options.began).catch((error: unknown) => {
    if (error instanceof CliError && error.message === "already running") {
      throw new CliError(`cluster "${options.name}" is being started or ended by another weft; try again in a moment`, 1);
    }
    throw error;
  });
}

interface BringUp {
  readonly session: Session;
  readonly options: UpOptions;
  readonly manifests: LoadedManifests;
}

async function bringUp(waiter: Waiter, { terminal }: CliContext, { session, options, manifests }: BringUp): Promise<void> {
  const { progress } = waiter;
  const { ports, config } = session;
  const logs = `${config.stateDir}/logs`;
  const noApi = await waitForApi(waiter, API_TIMEOUT_MS);
  if (noApi !== undefined) throw new CliError(`the API did not answer within ${API_TIMEOUT_MS / 1000} s; look into ${logs}/control.log`, 1);
  progress.say("api", `https://127.0.0.1:${ports.api}`);
  const names = config.nodes.map((node) => node.name);
  const noNodes = await waitForNodes(waiter, names, NODES_TIMEOUT_MS);
  if (noNodes !== undefined) throw new CliError(`nodes: ${noNodes}; look into ${logs}/agent-${names[0] ?? ""}.log`, 1);
  progress.say("nodes", `${names.join(", ")} Ready`);
  if (manifests.objects.length > 0) {
    const applied = await applyManifests(waiter.api, manifests.objects);
    progress.say("applied", `${applied.count} objects`);
    for (const warning of applied.warnings) terminal.err(`Warning: ${warning}\n`);
  }
  const pods = await waitForPods(waiter, PODS_TIMEOUT_MS);
  if (pods.missing === undefined) progress.say("pods", `${pods.ready} of ${pods.total} Ready`);
  else progress.say("pods", `${pods.missing}; not waiting any longer`);
  if (pods.proxies > 0) progress.say("mesh", `${pods.readyProxies} of ${pods.proxies} proxies Ready`);
  const entry = session.gatewayAddress === undefined ? undefined : await findEntryPath(waiter.api);
  const option = options.name === "default" ? "" : ` --name ${options.name}`;
  terminal.out("\n");
  if (session.gatewayAddress !== undefined) terminal.out(`  gateway    http://127.0.0.1:${ports.http}${entry ?? ""}\n`);
  terminal.out(`  kubectl    export KUBECONFIG=$(weft kubeconfig${option})\n`);
  terminal.out(options.background ? `weft down${option} ends it.\n` : "Ctrl-C ends it; --detach leaves it running.\n");
}
