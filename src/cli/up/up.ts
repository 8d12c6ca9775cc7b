/** `weft up`: makes the cluster, says what happens with times, applies what was asked for, and stays until it is told to end. */
import type { FromInner } from "#model/supervisor-link.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { Progress } from "#cli/progress.ts";
import { openRunningCluster } from "#cli/running-cluster.ts";
import { findRunning, openStateFolder, readRecord, stateFolder } from "#cli/state.ts";
import { VERSION } from "#cli/version.ts";
import { bundledPrograms } from "./bundled-programs.ts";
import { isLocked } from "./cluster-process.ts";
import { detach } from "./detach.ts";
import { findEntryPath } from "./entry-path.ts";
import { absolute, applyEach, readManifests, type FileProblem, type LoadedManifests } from "./manifests.ts";
import { requirePrograms } from "./preflight.ts";
import { MAX_NODES } from "./runtime-config.ts";
import { rememberImages, unknownImages } from "./remembered-images.ts";
import { ProgramEnds } from "./program-ends.ts";
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
const API_TIMEOUT_MS = 60_000;
const NODES_TIMEOUT_MS = 60_000;
const PODS_TIMEOUT_MS = 180_000;

export async function up(context: CliContext, options: UpOptions): Promise<number> {
  const { host, terminal } = context;
  const { nodes: wanted } = options;
  if (wanted !== undefined && (!Number.isInteger(wanted) || wanted < 1 || wanted > MAX_NODES))
    throw new CliError(`--nodes must be a number from 1 to ${MAX_NODES}`);
  const stateDir = stateFolder(terminal, options.name);
  const manifests = await readManifests(host.files, terminal.cwd, [...(options.config === undefined ? [] : [options.config]), ...options.file]);
  await requirePrograms(host, terminal);
  if ((await findRunning(host.files, stateDir)) !== undefined) return applyToRunning(context, options, manifests);
  if (await isLocked(host, stateDir)) throw betweenStates(options.name);
  if (options.detach && !options.background) return detach(context, stateDir);
  if (options.fresh) await host.files.remove(stateDir);
  await openStateFolder(host.files, stateDir, terminal.uid);
  const nodes = wanted ?? (await readRecord(host.files, stateDir))?.nodes.length ?? DEFAULT_NODES;
  const images = await rememberImages(host.files, stateDir, manifests.images);

  const progress = new Progress(host.clock, terminal);
  terminal.out(`weft ${VERSION}  cluster "${options.name}"  as ${terminal.uid === 0 ? "root" : "an ordinary user"} (no eBPF: services by nftables)\n`);
  const stopping = { asked: false };
  const ends = new ProgramEnds(host, progress);
  const onExited = (message: FromInner & { kind: "exited" }): void => void (stopping.asked || ends.happened(message));
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
  let problems: readonly FileProblem[] = [];
  try {
    const signal = AbortSignal.any([session.signal, ends.hopeless]);
    problems = await bringUp({ clock: host.clock, progress, api: session.api, signal }, context, { session, options, manifests });
    ends.startedOnce();
    await session.markReady(problems.length > 0);
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
  return problems.length > 0 ? 1 : 0;
}

/** A second `weft up` of a name does what it still can: it applies files. */
async function applyToRunning(context: CliContext, options: UpOptions, manifests: LoadedManifests & { problems: readonly FileProblem[] }): Promise<number> {
  const { host, terminal } = context;
  const { record, api } = await openRunningCluster(context, options.name);
  const option = nameOption(options.name);
  if (options.file.length === 0 || options.config !== undefined || options.fresh || options.nodes !== undefined) {
    throw new CliError(`cluster "${options.name}" is running already (pid ${record.pid}); look:  weft status${option}   end it:  weft down${option}`, 1);
  }
  const { problems, text } = await applyFiles(context, api, manifests);
  terminal.out(`cluster "${options.name}" runs already; applied ${text}\n`);
  const images = await unknownImages(host.files, stateFolder(terminal, options.name), manifests.images);
  if (images.length > 0)
    terminal.err(`Warning: image ${images.join(", ")}: a ClusterConfig counts when a cluster starts:  weft down${option}, then weft up again\n`);
  return problems.length > 0 ? 1 : 0;
}

/** Applies what can be, and says what could not. */
async function applyFiles(
  { terminal }: CliContext,
  api: Waiter["api"],
  manifests: LoadedManifests & { readonly problems: readonly FileProblem[] },
): Promise<{ readonly text: string; readonly problems: readonly FileProblem[] }> {
  const applied = await applyEach(api, manifests.objects);
  const problems = [...manifests.problems, ...applied.problems];
  for (const warning of applied.warnings) terminal.err(`Warning: ${warning}\n`);
  for (const problem of problems) terminal.err(`weft: ${problem}\n`);
  const refused = problems.length === 0 ? "" : `; ${problems.length} not, see above`;
  return { text: `${applied.count} ${applied.count === 1 ? "object" : "objects"}${refused}`, problems };
}

function nameOption(name: string): string {
  return name === "default" ? "" : ` --name ${name}`;
}

function betweenStates(name: string): CliError {
  return new CliError(`cluster "${name}" is being started or ended by another weft; try again in a moment`, 1);
}

function made(uid: number): string {
  return uid === 0 ? "net, pid, mount, ipc" : "user, net, pid, mount, ipc";
}

async function beginSession(
  context: CliContext,
  options: Omit<UpOptions, "nodes"> & Pick<SessionOptions, "nodes" | "stateDir" | "images" | "onExited"> & { readonly began: () => void },
): Promise<Session> {
  const { host, terminal } = context;
  const ownPrograms = await bundledPrograms(host, terminal);
  const programs = options.programs === undefined ? ownPrograms : ({ folder: absolute(terminal.cwd, options.programs), extension: "ts" } as const);
  return Session.begin(host, terminal, { ...options, programs, ownPrograms }, options.began).catch((error: unknown) => {
    throw error instanceof CliError && error.message === "already running" ? betweenStates(options.name) : error;
  });
}

interface BringUp {
  readonly session: Session;
  readonly options: UpOptions;
  readonly manifests: LoadedManifests & { readonly problems: readonly FileProblem[] };
}

/** Returns what was asked for and is not so: parts of the files, pods. */
async function bringUp(waiter: Waiter, context: CliContext, { session, options, manifests }: BringUp): Promise<readonly FileProblem[]> {
  const { terminal } = context;
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
  const { problems, text } = await applyFiles(context, waiter.api, manifests);
  if (options.file.length > 0) progress.say("applied", text);
  const pods = await waitForPods(waiter, PODS_TIMEOUT_MS);
  if (pods.missing === undefined) progress.say("pods", `${pods.ready} of ${pods.total} Ready`);
  else progress.say("pods", `${pods.missing}; not waiting any longer, see:  weft status${nameOption(options.name)}`);
  if (pods.proxies > 0) progress.say("mesh", `${pods.readyProxies} of ${pods.proxies} proxies Ready`);
  const entry = session.gatewayAddress === undefined ? undefined : await findEntryPath(waiter.api);
  const option = nameOption(options.name);
  terminal.out("\n");
  if (session.gatewayAddress !== undefined) terminal.out(`  gateway    http://127.0.0.1:${ports.http}${entry ?? ""}\n`);
  terminal.out(`  kubectl    export KUBECONFIG=$(weft kubeconfig${option})\n`);
  terminal.out(options.background ? `weft down${option} ends it.\n` : "Ctrl-C ends it; --detach leaves it running.\n");
  return pods.missing === undefined ? problems : [...problems, pods.missing];
}
