/** Two nodes with pods in namespaces of this process's own network namespace, wired by the agent's own code. */
import { PlanApplier } from "#agent/apply-plan.ts";
import { lostEndpoints, unserved } from "#agent/endpoint-changes.ts";
import { FlowLog } from "#agent/flow-log.ts";
import { NodeCompiler } from "#compile/node/node-compiler.ts";
import { DEFAULT_SETTINGS, DROP_LOG_GROUP, type LocalPod, type NodeSettings } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import { realHost } from "#host/real/real.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { KindId } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import { silentLog } from "#run/log.ts";
import { buildNetwork, netnsPath } from "#supervisor/network.ts";

export const host = realHost();
const NODES = [
  { name: "node-1", address: "192.168.99.10", podCIDR: "10.244.0.0/24" },
  { name: "node-2", address: "192.168.99.11", podCIDR: "10.244.1.0/24" },
];

export class LabNode {
  readonly name: string;
  readonly compiler: NodeCompiler;
  readonly flows: FlowLog;
  applier: PlanApplier;
  plan: NodePlan | undefined;
  readonly #host: Host;

  /** Only one at a time can read the log of drops. */
  constructor(name: string, readsDrops = true, settings: Partial<NodeSettings> = {}) {
    this.name = name;
    this.#host = hostIn(netnsPath(name));
    this.compiler = new NodeCompiler({ node: name, settings: { ...DEFAULT_SETTINGS, ...settings } });
    this.applier = new PlanApplier(this.#host, silentLog);
    this.flows = new FlowLog({ node: name, now: () => host.clock.now(), plan: () => this.plan, podAt: () => undefined });
    if (readsDrops) this.#host.netlink.open().nflog(DROP_LOG_GROUP, (packet) => this.flows.received(packet));
  }

  /** As an agent that starts again: it knows nothing of what its predecessor applied. */
  async restart(): Promise<void> {
    this.applier.close();
    this.applier = new PlanApplier(this.#host, silentLog);
    await this.apply();
  }

  async apply(): Promise<void> {
    const before = this.plan;
    const plan = this.compiler.plan();
    await this.applier.apply(plan);
    this.plan = plan;
    const session = this.#host.netlink.open();
    const known = before?.balanced ?? [];
    for (const match of [...lostEndpoints(known, plan.balanced), ...unserved(known, plan.balanced)]) await session.deleteConntrack(match);
    session.close();
    for (const [uid, error] of this.applier.failures) throw new Error(`pod ${uid} was not wired`, { cause: error });
  }
}

/** What the node's agent would see: our own namespace is the node's. */
export function hostIn(node: string): Host {
  return {
    ...host,
    netlink: { open: (netns) => host.netlink.open(netns ?? node) },
    nft: {
      apply: (ruleset, netns) => host.nft.apply(ruleset, netns ?? node),
      list: (netns) => host.nft.list(netns ?? node),
      elements: (map, netns) => host.nft.elements(map, netns ?? node),
    },
    netns: {
      ...host.netns,
      sysctl: (path, key, value) => host.netns.sysctl(path ?? node, key, value),
      readSysctl: (path, key) => host.netns.readSysctl(path ?? node, key),
    },
  };
}

export class Lab {
  readonly nodes: readonly LabNode[];
  constructor(settings: Partial<NodeSettings>) {
    this.nodes = NODES.map(({ name }) => new LabNode(name, true, settings));
  }

  async set(...objects: readonly KubeObject[]): Promise<void> {
    for (const object of objects) for (const node of this.nodes) node.compiler.apply({ kind: object.kind as KindId, key: objectKey(object), object });
    await this.#apply();
  }

  async remove(kind: KindId, key: string): Promise<void> {
    for (const node of this.nodes) node.compiler.apply({ kind, key });
    await this.#apply();
  }

  /** A pod's namespace, wired on its node. */
  async addPod(pod: LocalPod & { readonly node: string; readonly labels?: Readonly<Record<string, string>>; readonly more?: object }): Promise<string> {
    const netns = netnsPath(`pod-${pod.uid}`);
    await host.netns.create(netns);
    const { uid, namespace, name, ip, node, labels = {}, more = {} } = pod;
    this.nodes.find((each) => each.name === node)?.compiler.wire({ uid, namespace, name, ip, netns });
    const object = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, uid, labels },
      spec: { nodeName: node, containers: [] },
      status: { podIP: ip, phase: "Running" },
    };
    await this.set({ ...object, ...more } as KubeObject);
    return netns;
  }

  async #apply(): Promise<void> {
    for (const node of this.nodes) await node.apply();
  }
}

export async function makeLab(settings: Partial<NodeSettings> = {}): Promise<Lab> {
  const mounted = await host.processes.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], { env: process.env as Record<string, string> });
  if (mounted.code !== 0) throw new Error(mounted.stderr);
  await buildNetwork(host, {
    nodes: NODES,
    controlAddress: "192.168.99.1",
    underlay: "192.168.99.0/24",
    loadBalancerCIDR: DEFAULT_SETTINGS.loadBalancerCIDR,
  } as unknown as RuntimeConfig);
  // As on machines whose owners are strict about where packets come from: nothing of ours may need that changed.
  for (const { name } of NODES) await host.netns.sysctl(netnsPath(name), "net.ipv4.conf.all.rp_filter", "1");
  const lab = new Lab(settings);
  const nodes = NODES.map(({ name, address, podCIDR }) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    spec: { podCIDR },
    status: { addresses: [{ type: "InternalIP", address }] },
  }));
  await lab.set(...nodes, {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "default", labels: { "kubernetes.io/metadata.name": "default" } },
  } as KubeObject);
  return lab;
}

/** A TCP server that says its name to whoever connects, and who connected. */
export async function serve(netns: string, ip: string, port: number, name: string): Promise<{ close(): Promise<void> }> {
  return host.net.listen({ address: { ip, port }, netns }, (connection) => {
    connection.handle({ onData: (bytes) => connection.write(bytes.slice()), onEnd: () => connection.end(), onClose() {} });
    connection.write(`${name} ${connection.facts.remote?.ip ?? ""}\n`);
  });
}

/** UDP: answers each datagram with its name. */
export async function serveUdp(netns: string, ip: string, port: number, name: string): Promise<{ close(): void }> {
  const socket = await host.net.bind({ address: { ip, port }, netns }, ({ from }) => socket.send(Buffer.from(name), from));
  return socket;
}

/** What the server says first: "name client-address"; or the error's code, "timeout" when nothing comes. */
export function call(netns: string | undefined, ip: string, port: number, timeoutMs = 10_000): Promise<string> {
  return new Promise((resolve) => {
    const connection = host.net.connect(
      { address: { ip, port }, ...(netns === undefined ? {} : { netns }), timeoutMs },
      {
        onData(bytes) {
          resolve(Buffer.from(bytes).toString().trim());
          connection.destroy();
        },
        onClose: (error) => resolve(error?.code === "ETIMEDOUT" ? "timeout" : (error?.code ?? "closed")),
      },
    );
  });
}

export async function callUdp(netns: string, ip: string, port: number, { timeoutMs = 10_000, source = "0.0.0.0", bytes = 1 } = {}): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = await host.net.bind({ address: { ip: source, port: 0 }, netns }, ({ bytes: answer }) => resolve(Buffer.from(answer).toString()));
  const timer = host.clock.after(timeoutMs, () => resolve("timeout"));
  socket.send(Buffer.alloc(bytes), { ip, port });
  try {
    return await promise;
  } finally {
    timer.cancel();
    socket.close();
  }
}

/** Runs a program in a namespace. */
export async function run(netns: string, ...command: readonly [string, ...string[]]): Promise<string> {
  const result = await host.processes.run(command, { netns, env: process.env as Record<string, string>, timeoutMs: 10_000 });
  return result.stdout + result.stderr;
}
