/** One cluster of a test file, for tests of the mesh: manifests in, requests through the gateway, statuses out. */
import { rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiAnswer, ClusterApi } from "#cli/cluster-api.ts";
import type { CliContext } from "#cli/context.ts";
import { openRunningCluster } from "#cli/running-cluster.ts";
import { applyManifests, deleteManifests, loadManifests } from "#cli/up/manifests.ts";
import { realHost } from "#host/real/real.ts";
import type { KubeObject } from "#model/object.ts";
import { terminalOf } from "./terminal.ts";
import { users, type User } from "./user.ts";
import { weft, type CommandResult } from "./weft.ts";

const checkout = join(import.meta.dirname, "../..");
const START_MS = 120_000;
/** Of whatever a machine with other things to do may take to bring about. */
const PATIENCE_MS = 60_000;

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

export interface MeshCluster {
  readonly name: string;
  /** "http://127.0.0.1:18080". */
  readonly gateway: string;
  /** Of the machine, on which the gateway answers HTTPS. */
  readonly httpsPort: number;
  readonly supervisorPid: number;
  readonly api: ClusterApi;
  /** For commands that a test calls without a process. */
  readonly context: CliContext;
  /** As whom processes of this cluster are started. */
  readonly user: User;
  /** What survives it, its keys among them. */
  readonly stateFolder: string;
  /** Files or folders; answers what the API warned of. */
  apply(...files: readonly string[]): Promise<readonly string[]>;
  /** Of the same files; what is gone already is no mistake. */
  remove(...files: readonly string[]): Promise<void>;
  put(path: string, object: object): Promise<ApiAnswer>;
  get<T = KubeObject>(path: string): Promise<T>;
  /** Runs `weft ARGS --name NAME`. */
  weft(...args: readonly string[]): Promise<CommandResult>;
  /** Runs a command in the network of a pod or node. */
  enter(place: string, ...command: readonly string[]): Promise<CommandResult>;
  stop(): Promise<void>;
}

/** Of the first user, who is root where we are; or of the one that `make` makes. `config` is a file of this checkout. */
export async function startMeshCluster(name: string, config: string, make: (() => User) | undefined = users[0]?.make): Promise<MeshCluster> {
  if (make === undefined) throw new Error("there is a user");
  const user = make();
  const ownConfig = join(user.checkout, relative(checkout, config));
  const run = (...args: readonly string[]): Promise<CommandResult> => weft(user, args);
  const started = await Promise.race([run("up", "--name", name, "--fresh", "--config", ownConfig, "--detach"), sleep(START_MS, undefined, { ref: false })]);
  const stop = async (): Promise<void> => {
    const kubeconfig = (await run("kubeconfig", "--name", name)).stdout.trim();
    await run("down", "--name", name);
    if (kubeconfig.startsWith("/")) for (const path of [dirname(kubeconfig), `${dirname(kubeconfig)}.up.log`]) await rm(path, { recursive: true, force: true });
    user.cleanUp();
  };
  if (started?.code !== 0) {
    await stop();
    throw new Error(`weft up: ${started === undefined ? `not up after ${START_MS} ms` : started.stdout + started.stderr}`);
  }
  const host = realHost();
  const context = { host, terminal: terminalOf(user) };
  const { api, record } = await openRunningCluster(context, name);
  const load = (files: readonly string[]): ReturnType<typeof loadManifests> => loadManifests(host.files, user.checkout, files);
  return {
    name,
    gateway: `http://127.0.0.1:${record.ports.http}`,
    httpsPort: record.ports.https,
    supervisorPid: record.pid,
    api,
    context,
    user,
    stateFolder: dirname((await run("kubeconfig", "--name", name)).stdout.trim()),
    apply: async (...files) => (await applyManifests(api, (await load(files)).objects)).warnings,
    remove: async (...files) => deleteManifests(api, (await load(files)).objects),
    put: (path, object) => api.request("PATCH", `${path}?fieldManager=test&force=true`, { body: object, contentType: "application/apply-patch+yaml" }),
    get: (path) => api.get(path),
    weft: (command, ...args) => run(...(command === undefined ? [] : [command, "--name", name]), ...args),
    enter: (place, ...command) => run("enter", "--name", name, place, "--", ...command),
    stop,
  };
}

/** Asks until the answer will do; then, or after a minute, answers the last one. */
export async function eventually<T>(ask: () => Promise<T>, isEnough: (answer: T) => boolean): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; ; await sleep(100)) {
    const answer = await ask();
    if (isEnough(answer) || Date.now() > end) return answer;
  }
}

/** By their types; of the object as it stands once its status speaks of its present generation. */
export async function conditionsOf(cluster: Pick<MeshCluster, "get">, path: string): Promise<ReadonlyMap<string, Condition>> {
  const seen = await eventually(
    () => cluster.get<KubeObject & { readonly status?: Status }>(path),
    ({ metadata, status }) => conditionsIn(status).some(({ observedGeneration }) => observedGeneration === metadata.generation),
  );
  return new Map(conditionsIn(seen.status).map((condition) => [condition.type, condition]));
}

interface Status {
  readonly conditions?: readonly Condition[];
  readonly parents?: readonly { readonly conditions: readonly Condition[] }[];
}

function conditionsIn(status: Status | undefined): readonly Condition[] {
  return [...(status?.conditions ?? []), ...(status?.parents ?? []).flatMap(({ conditions }) => conditions)];
}
