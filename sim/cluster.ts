/**
 * A whole cluster in one process and under virtual time: API server, control plane with its CA, an agent for each node, and
 * a proxy for each pod in the mesh; the very programs that run on machines, on fake hosts. Scenarios (*.test.ts) tell what
 * happens; `trace` says what happened, and the same seed makes the same trace.
 *
 * Modelled, not run: containers (application.ts, node-runtime.ts), TLS (facts about the peers), and the kernel
 * (interception.ts walks the agents' rules).
 */
import { start as startAgent } from "#agent/agent.ts";
import { startApiServer, type ApiServerOptions } from "#apiserver/apiserver.ts";
import { connectApi } from "#client/client.ts";
import type { ApiClient } from "#client/client.ts";
import { EMBEDDED, injectProxy } from "#compile/inject/inject.ts";
import { startControl } from "#control/control.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeFiles } from "#host/fake/files.ts";
import { FakeNft } from "#host/fake/nft.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Host } from "#host/host.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { Pod } from "#model/core.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { createLog } from "#run/log.ts";
import type { Log } from "#run/log.ts";
import type { Running } from "#run/program.ts";
import { makeCertificates } from "./certificates.ts";
import { followRules } from "./interception.ts";
import { startNodeRuntime } from "./node-runtime.ts";
import type { Application, NodeRuntime } from "./node-runtime.ts";

const CONTROL = "192.168.99.1";

export interface SimulatedCluster {
  readonly world: FakeWorld;
  readonly api: ApiClient;
  readonly runtimes: ReadonlyMap<string, NodeRuntime>;
  /** A host in the network of a pod's namespace. */
  hostOf(pod: Pod): Host;
  /** Creates objects in order. */
  create(objects: readonly SimObject[]): Promise<void>;
  /** Lets virtual time pass until it holds. */
  until(what: string, holds: () => boolean | Promise<boolean>): Promise<void>;
  readonly problems: readonly string[];
  /** Ends the API server, as its machine would: nothing of it answers until `startApi`, which finds all that was stored. */
  stopApi(): Promise<void>;
  startApi(): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly application: Application;
  /** The machine as the programs of pods see it: a scenario may spoil it. */
  readonly podHost?: (host: Host) => Host;
}

export type SimObject = { [K in KindId]: { readonly kind: K; readonly object: Kinds[K] } }[KindId];

export async function startCluster(options: ClusterOptions): Promise<SimulatedCluster> {
  const world = new FakeWorld({ seed: options.seed });
  const { clock } = world;
  const files = new FakeFiles(clock);
  const config = configOf(options.nodes);
  const problems: string[] = [];
  const logOf = (program: string): Log => createLog({ program, clock, level: "error", write: (line) => problems.push(line.trim()) });
  const root = fakeHost(world, { name: "control", files });
  world.network.assign(CONTROL, "control");
  const certificates = await makeCertificates(CONTROL, config.nodes);
  const running: { name: string; part: Running }[] = [];

  const startServer = () =>
    startApiServer({
      host: root,
      address: { ip: CONTROL, port: 6443 },
      tls: { ...certificates.api, clientCa: certificates.api.ca },
      storagePath: "/var/api.db",
      admission: [inject],
      serviceCidr: config.serviceCIDR,
      onBug: (error, what) => problems.push(`${what}: ${String(error)}`),
    });
  let server = await startServer();
  const api = connectApi({ host: root, url: config.apiUrl, tls: certificates.admin });
  const control = startControl(root, {
    api: connectApi({ host: root, url: config.apiUrl, tls: certificates.control, userAgent: "weft-control" }),
    config,
    log: logOf("control"),
    xdsAddress: { ip: CONTROL, port: 15_012 },
    tls: { ...certificates.control, requireClientCertificate: true },
    clusterCa: certificates.api.ca,
    meshRoot: certificates.meshRoot,
  });
  await world.drive(control.ready);

  const nfts: FakeNft[] = [];
  const runtimes = new Map<string, NodeRuntime>();
  for (const { name: node, address } of config.nodes) {
    const tls = certificates.nodes.get(node);
    if (tls === undefined) throw new Error(`there is no certificate for ${node}`);
    const nft = new FakeNft();
    nfts.push(nft);
    const netns = `/run/netns/${node}`;
    const host = fakeHost(world, { name: `agent-${node}`, netns, files, nft });
    const agent = await world.drive(bringUp({ host, config, node, address, tls, log: logOf(`agent ${node}`) }));
    running.push({ name: node, part: agent });
    await world.drive(heartbeat(api, node, clock.now()));
    const runtime = startNodeRuntime({ ...options, world, files, config, node, tls });
    runtimes.set(node, runtime);
    running.push({ name: `runtime ${node}`, part: runtime });
  }
  world.network.redirect = followRules(nfts, world.network);

  return {
    world,
    api,
    runtimes,
    problems,
    hostOf: (pod) => fakeHost(world, { name: `client in ${pod.metadata.name}`, netns: `/run/netns/pod-${pod.metadata.uid ?? ""}`, files }),
    async create(objects) {
      for (const { kind, object } of objects) await world.drive(api.create<KindId>(kind, object));
    },
    async until(what, holds) {
      for (let i = 0; i < 3_000; i += 1) {
        if (await world.drive(Promise.resolve(holds()))) return;
        await world.pass(10);
      }
      throw new Error(`seed ${options.seed}: 30 s of virtual time passed, and not: ${what}\n${problems.join("\n")}\n${world.traceText()}`);
    },
    async stopApi() {
      await world.drive(server.stop());
      world.record("API server", "is gone");
    },
    async startApi() {
      server = await world.drive(startServer());
      world.record("API server", "is back");
    },
    async stop() {
      for (const { part } of running.toReversed()) await world.drive(part.stop());
      await world.drive(control.stop());
      await world.drive(server.stop());
    },
  };
}

const inject: NonNullable<ApiServerOptions["admission"]>[number] = (object, { kind, operation, namespaceObject }) =>
  kind === "Pod" && operation === "CREATE" ? injectProxy(object as Pod, namespaceObject, EMBEDDED).pod : object;

interface NodeStart {
  readonly host: Host;
  readonly config: RuntimeConfig;
  readonly node: string;
  readonly address: string;
  readonly tls: { readonly ca: string; readonly certificate: string; readonly privateKey: string };
  readonly log: Log;
}

/** What the supervisor does for a node: its namespace with an address on the underlay, its certificate; then its agent. */
async function bringUp({ host, config, node, address, tls, log }: NodeStart): Promise<Running> {
  const netns = `/run/netns/${node}`;
  await host.netns.create(netns);
  const session = host.netlink.open(netns);
  await session.addLink({ kind: "veth", name: "eth0", peer: { name: "underlay" } });
  await session.setLink("eth0", { up: true });
  await session.addAddress("eth0", `${address}/24`);
  session.close();
  const folder = `${config.runDir}/pki/${node}`;
  await host.files.makeDirectory(folder);
  await host.files.writeAtomic(`${folder}/tls.crt`, tls.certificate);
  await host.files.writeAtomic(`${folder}/tls.key`, tls.privateKey);
  await host.files.writeAtomic(`${folder}/ca.crt`, tls.ca);
  return startAgent(host, { runtime: config, node }, log);
}

async function heartbeat(api: ApiClient, node: string, nowMs: number): Promise<void> {
  const now = new Date(nowMs).toISOString();
  const ready = { type: "Ready", status: "True", reason: "KubeletReady", lastHeartbeatTime: now, lastTransitionTime: now };
  const capacity = { cpu: "8", memory: "16Gi", pods: "110" };
  await api.patch("Node", { name: node }, { status: { conditions: [ready], capacity, allocatable: capacity } }, { subresource: "status", type: "strategic" });
}

function configOf(count: number): RuntimeConfig {
  const nodes = Array.from({ length: count }, (_, i) => ({ name: `node-${i + 1}`, address: `192.168.99.${11 + i}`, podCIDR: `10.244.${i}.0/24` }));
  return {
    name: "sim",
    nodes,
    serviceCIDR: "10.96.0.0/16",
    podCIDR: "10.244.0.0/16",
    dnsAddress: "10.96.0.10",
    underlay: "192.168.99.0/24",
    vni: 42,
    controlAddress: CONTROL,
    apiUrl: `https://${CONTROL}:6443`,
    xdsAddress: `${CONTROL}:15012`,
    loadBalancerCIDR: "192.168.99.240/28",
    images: [],
    stateDir: "/var/weft",
    runDir: "/run/weft",
    node24: "node",
    sourceRoot: "/",
    programs: { folder: "/src/bin", extension: "ts" },
    rootless: false,
  };
}
