/** A cluster with a prober in each pod: policies in, what really happens out. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { MeshCompiler } from "#compile/xds/xds.ts";
import { worldOfCluster } from "#cli/why/world.ts";
import { findKind } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { worldReader, type World } from "#model/world.ts";
import { eventually, startMeshCluster, type MeshCluster } from "./mesh-cluster.ts";
import type { FlowRecord } from "#model/flow.ts";
import type { Evidence } from "./why/claims.ts";
import type { Question } from "./why/questions.ts";
import { dwellers, standing } from "./why/topology.ts";

export interface Seen {
  readonly outcome: "answer" | "refused" | "closed" | "no answer" | "no such name";
  readonly status?: number;
  readonly server?: string;
  readonly why?: string;
  readonly body?: string;
}

export interface Lab {
  readonly cluster: MeshCluster;
  world(): Promise<World>;
  apply(objects: readonly KubeObject[]): Promise<void>;
  remove(objects: readonly KubeObject[]): Promise<void>;
  /** Until every node and every sidecar has what the World asks for. */
  settled(): Promise<void>;
  probe(questions: readonly Question[]): Promise<ReadonlyMap<number, Seen>>;
  /** What proxies and nodes wrote down so far. */
  evidence(): Promise<Evidence>;
  stop(): Promise<void>;
}

const NODES = ["node-1", "node-2"] as const;
/** Dropped packets are never answered: a busy machine must not be taken for a policy. */
const PROBE_MS = 5_000;
/** More than one round makes. */
const LOG_LINES = 1000;

export async function startLab(name: string): Promise<Lab> {
  const cluster = await startMeshCluster(name, join(import.meta.dirname, "why/cluster.yaml"));
  const relays = new Map<string, Relay>();
  const stop = async (): Promise<void> => {
    for (const relay of relays.values()) relay.stop();
    await cluster.stop();
  };
  try {
    await apply(cluster, standing());
    await eventually(
      () => notReady(cluster),
      (missing) => missing.length === 0,
    );
    const missing = await notReady(cluster);
    if (missing.length > 0) throw new Error(`pods are not as they should be: ${missing.join(", ")}`);
    for (const place of [...NODES, "outside"]) relays.set(place, startRelay(cluster, place));
  } catch (error) {
    await stop();
    throw error;
  }
  const world = (): Promise<World> => worldOfCluster(cluster.context, { name: cluster.name }).then(({ world: found }) => found);
  const relayOf = (place: string): Relay => {
    const relay = relays.get(dwellers.find((each) => `${each.namespace}/${each.name}` === place)?.node ?? place);
    if (relay === undefined) throw new Error(`there is no relay for ${place}`);
    return relay;
  };
  return {
    cluster,
    world,
    apply: (objects) => apply(cluster, objects),
    remove: async (objects) => void (await Promise.all(objects.map((object) => cluster.api.request("DELETE", pathOf(object))))),
    settled: () => settled(world, relayOf),
    evidence: () => evidence(cluster),
    probe: async (questions) => probeAll(await world(), questions, relayOf),
    stop,
  };
}

async function apply(cluster: MeshCluster, objects: readonly KubeObject[]): Promise<void> {
  for (const object of objects) {
    const answer = await cluster.put(pathOf(object), object);
    if (answer.status >= 300) throw new Error(`${object.kind} ${objectKey(object)}: ${JSON.stringify(answer.body)}`);
  }
}

function pathOf({ apiVersion, kind, metadata }: KubeObject): string {
  const info = findKind(apiVersion, kind);
  if (info === undefined) throw new Error(`there is no kind ${kind} in ${apiVersion}`);
  const namespace = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `/${apiVersion.includes("/") ? "apis" : "api"}/${apiVersion}${namespace}/${info.plural}/${metadata.name}`;
}

interface PodStatus {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly name: string; readonly state?: { readonly running?: object } }[];
  };
}

async function notReady({ api }: MeshCluster): Promise<readonly string[]> {
  const pods = await api.list<PodStatus>("/api/v1/pods");
  const isReady = (key: string): boolean => {
    const pod = pods.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key);
    const unready = dwellers.find(({ namespace, name }) => `${namespace}/${name}` === key)?.unready === true;
    if (unready) return pod?.status?.containerStatuses?.every(({ state }) => state?.running !== undefined) === true;
    return pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
  };
  return dwellers.map(({ namespace, name }) => `${namespace}/${name}`).filter((key) => !isReady(key));
}

interface Relay {
  ask(pod: string | undefined, order: object): Promise<unknown>;
  stop(): void;
}

function startRelay({ user, name }: MeshCluster, place: string): Relay {
  const [program, ...args] = [...user.prefix, process.execPath, join(user.checkout, "weft"), "enter", "--name", name, place];
  const prober = join(user.checkout, "test/cluster/why/prober.mts");
  const child: ChildProcess = spawn(program, [...args, "--", process.execPath, prober, "relay"], { env: user.env, stdio: ["pipe", "pipe", "inherit"] });
  const waiting = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();
  let next = 0;
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: string };
      const waiter = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) waiter?.resolve(result);
      else waiter?.reject(new Error(error));
    });
  child.on("close", () => {
    for (const waiter of waiting.values()) waiter.reject(new Error(`the relay at ${place} ended`));
  });
  return {
    ask: (pod, order) =>
      new Promise((resolve, reject) => {
        waiting.set(next, { resolve, reject });
        child.stdin?.write(`${JSON.stringify({ id: next, pod, order })}\n`);
        next += 1;
      }),
    stop: () => void child.stdin?.end(),
  };
}

async function evidence({ api, weft }: MeshCluster): Promise<Evidence> {
  const pods = await api.list<PodStatus>("/api/v1/pods");
  const withProxy = pods.filter(({ status }) => status?.containerStatuses?.some(({ name }) => name === "istio-proxy") === true);
  const logs = await Promise.all(
    withProxy.map(async ({ metadata: { namespace, name } }) => {
      const { body } = await api.request("GET", `/api/v1/namespaces/${namespace}/pods/${name}/log?container=istio-proxy&tailLines=${LOG_LINES}`);
      return [`${namespace}/${name}`, String(body)] as const;
    }),
  );
  const { stdout } = await weft("flows", "-o", "json");
  return { logs: new Map(logs), flows: JSON.parse(stdout) as readonly FlowRecord[] };
}

async function probeAll(world: World, questions: readonly Question[], relayOf: (place: string) => Relay): Promise<ReadonlyMap<number, Seen>> {
  const seen = new Map<number, Seen>();
  const bySource = Map.groupBy(questions, ({ from }) => from);
  await Promise.all(
    [...bySource].map(async ([from, asked]) => {
      const pod = from === "outside" ? undefined : world.Pod?.get(from)?.status?.podIP;
      const probes = asked.map((question) => ({ ...question, timeoutMs: PROBE_MS }));
      for (const result of (await relayOf(from).ask(pod, { probes })) as readonly (Seen & { readonly id: number })[]) seen.set(result.id, result);
    }),
  );
  return seen;
}

async function settled(worldNow: () => Promise<World>, relayOf: (place: string) => Relay): Promise<void> {
  const late = await eventually(
    async () => {
      const world = await worldNow();
      return (await Promise.all([...lateProxies(world, relayOf), ...lateNodes(world, relayOf)])).filter((text) => text !== undefined);
    },
    (texts) => texts.length === 0,
  );
  if (late.length > 0) throw new Error(`not settled: ${late.join("; ")}`);
  // Proxies keep connections to each other, and a policy does not end what began before it: the answer is about new ones.
  await Promise.all(NODES.map((node) => relayOf(node).ask(undefined, { forget: true })));
}

/** Each sidecar holds the very resources, by version, that are compiled from this World. */
function lateProxies(world: World, relayOf: (place: string) => Relay): readonly Promise<string | undefined>[] {
  const mesh = new MeshCompiler(world);
  return dwellers.map(async ({ namespace, name }) => {
    const key = `${namespace}/${name}`;
    const plan = mesh.plan(key);
    if (plan === undefined) return undefined;
    const answer = await relayOf(key).ask(world.Pod?.get(key)?.status?.podIP, { admin: "/config_dump?include_eds" });
    const versions = versionsIn(typeof answer === "string" ? answer : JSON.stringify(answer));
    for (const type of [XDS_TYPES.listener, XDS_TYPES.routes, XDS_TYPES.cluster, XDS_TYPES.endpoints]) {
      for (const { name: resource, version } of plan.resources.get(type)?.values() ?? [])
        if (!versions.has(`${resource} ${version}`)) return `${key} has another ${type.split(".").at(-1) ?? ""} ${resource}`;
    }
    return undefined;
  });
}

/** "name version" of everything in a config dump. */
function versionsIn(dump: string): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { version_info: version, listener, cluster, route_config: routes, endpoint_config: endpoints } = value as Record<string, unknown>;
    for (const resource of [listener, cluster, routes, endpoints]) {
      if (typeof version !== "string" || typeof resource !== "object" || resource === null) continue;
      const { name, cluster_name: clusterName } = resource as Record<string, unknown>;
      found.add(`${String(name ?? clusterName)} ${version}`);
    }
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(JSON.parse(dump));
  return found;
}

/** Each node has the chains that are compiled from this World: policies have new names in each round. */
function lateNodes(world: World, relayOf: (place: string) => Relay): readonly Promise<string | undefined>[] {
  const reader = worldReader(world);
  return NODES.map(async (node) => {
    const { tables } = compileNode(reader, { node, settings: DEFAULT_SETTINGS });
    const planned = tables.filter(({ name }) => name === "weft-policy").flatMap(({ chains }) => chains.map(({ name }) => name));
    const present = new Set((await relayOf(node).ask(undefined, { chains: "weft-policy" })) as readonly string[]);
    const differing = [...planned.filter((name) => !present.has(name)), ...[...present].filter((name) => !planned.includes(name))];
    return differing.length === 0 ? undefined : `${node}: chains differ: ${differing.join(", ")}`;
  });
}
