/**
 * One node, whatever the cluster: follows the API, compiles the node's plan, applies it; answers the CNI plugin and DNS;
 * serves each pod's proxy its configuration and identity; remembers dropped packets. Data passes one way: objects ->
 * NodeCompiler -> plan -> PlanApplier -> kernel (plan-loop.ts). It decides nothing about packets: what the kernel does is
 * in the plan. What differs from cluster to cluster (who proves what to whom, where things are) comes as options.
 */
import { keptOnNode } from "#compile/node/kept.ts";
import { NodeCompiler } from "#compile/node/node-compiler.ts";
import { DROP_LOG_GROUP, type NodeSettings } from "#compile/node/settings.ts";
import { placeOf } from "#compile/routes/routes.ts";
import type { ApiClient, ListOptions } from "#client/client.ts";
import { startDns } from "#dns/dns.ts";
import type { Host } from "#host/host.ts";
import type { SocketAddress } from "#host/net.ts";
import type { NetlinkSession } from "#host/netlink.ts";
import type { RpcChannel } from "#host/rpc.ts";
import type { Node, Pod } from "#model/core.ts";
import type { KindId } from "#model/kinds.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import type { World } from "#model/world.ts";
import { Health } from "#run/health.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { whenFree } from "#run/when-free.ts";
import { startAds } from "./ads/ads.ts";
import { LastState } from "./ads/last-state.ts";
import { PlanApplier } from "./apply-plan.ts";
import { ClusterState } from "./cluster-state.ts";
import { CniRequests, localPod } from "./cni-requests.ts";
import { serveCni } from "./cni-socket.ts";
import { AgentMetrics } from "./counters.ts";
import { Connections } from "./endpoint-changes.ts";
import { FlowLog } from "./flow-log.ts";
import { FormerSysctls, SYSCTLS_FILE } from "./former-sysctls.ts";
import { LatePods, type PodSandbox } from "./late-pods.ts";
import { onlyInterception } from "./mesh-plan.ts";
import { lookForNames } from "./names-there.ts";
import { servePages, type PagesAccess } from "./pages.ts";
import { PlanLoop } from "./plan-loop.ts";
import { policiesKnown } from "./policies-known.ts";
import { PodProxies, proxyOf, type SocketOf } from "./pod-proxies.ts";
import { PodRecords, type PodRecord } from "./pod-records.ts";
import { Reporter } from "./report.ts";
import { ServiceHealth } from "./service-health.ts";
import { ZoneCopy } from "./zone-copy.ts";

export interface NodeAgentOptions {
  readonly node: string;
  readonly settings: NodeSettings;
  /** "full": the pods' network is ours. "mesh": another plugin makes it, and what is done in pods is interception. */
  readonly profile: "full" | "mesh";
  /** State that dies with the machine, as pods do. */
  readonly folder: string;
  readonly api: ApiClient;
  readonly only?: { readonly [K in KindId]?: ListOptions };
  /** To the control plane's xDS and CA. */
  readonly control: (world: World) => RpcChannel;
  readonly socketOf: SocketOf;
  /** Of profile "full": who is asked for names outside the cluster, at the moment. Absent: another program answers names. */
  readonly names?: () => readonly SocketAddress[];
  /** Of profile "full": the copy of the zone. */
  readonly zoneFile: string;
  readonly pages: PagesAccess;
  /** Before the first plan: the file of a pod's namespace, as this program sees it. */
  readonly netnsPath?: (path: string) => string;
  /** The first plan is in force, and pods can be wired. */
  readonly networkIsUp?: () => Promise<void>;
  /** Of profile "mesh": the sandbox of a pod that nobody asked us to wire. A string says why it is not found. */
  readonly sandboxOf?: (uid: string) => Promise<PodSandbox | string>;
}

const DNS_PORT = 53;
/** How often pods are looked for that went without a word. */
const SWEEP_EVERY_MS = 30_000;
/** As long as such a pod's proxy waits in vain at most; a look reads what is known of the node's own pods. */
const LATE_EVERY_MS = 5_000;

const KINDS = {
  full: ["Node", "Namespace", "Pod", "Service", "EndpointSlice", "NetworkPolicy"],
  mesh: ["Pod", "Service", "EndpointSlice"],
} as const satisfies Record<NodeAgentOptions["profile"], readonly KindId[]>;

export async function startNodeAgent(host: Host, options: NodeAgentOptions, log: Log): Promise<Running & { findPod(key: string): Pod | undefined }> {
  const { node, settings, profile, folder, api } = options;
  const parts = new Parts({ clock: host.clock, log });
  await host.files.makeDirectory(folder);
  const health = healthAtStart();
  const metrics = new AgentMetrics(host);

  const netlink = host.netlink.open();
  parts.closing("netlink", () => netlink.close());
  const names = await lookForNames(host, settings);
  const zone = profile === "full" ? await answerNames({ host, netlink, parts, ...options }) : undefined;

  const records = new PodRecords(host, `${folder}/pods.json`);
  const compiler = new NodeCompiler({ node, settings });
  const wired = await records.load();
  for (const record of wired) compiler.wire(localPod(record));

  const former = new FormerSysctls(host, `${folder}/${SYSCTLS_FILE}`);
  const lastState = await LastState.load(host, { path: `${folder}/proxies.json`, log });
  const applier = new PlanApplier(host, log, { profile, beforeSysctl: (key, value) => former.remember(key, value) });
  parts.closing("applier", () => applier.close());
  const state = new ClusterState({
    host,
    api,
    log,
    kinds: KINDS[profile],
    ...(options.only === undefined ? {} : { only: options.only }),
    keep: keptOnNode(node),
    changed: (changes) => {
      const seen = changes.map(({ kind, key, after }) => compiler.apply(after === undefined ? { kind, key } : { kind, key, object: after }));
      health.set("api", undefined);
      if (seen.includes(true)) loop.changed();
    },
  });
  parts.closing("api", () => state.stop());
  const ads = parts.add("ads", startAds(host, { channel: options.control(state.world), log, lastState }));
  const proxies = new PodProxies({ ads, socketOf: options.socketOf });
  const reporter = new Reporter({ host, api, log, node, findNode: () => state.world.Node?.get(node) });
  const connections = new Connections(netlink, log);
  const serviceHealth = new ServiceHealth(host, log);
  parts.closing("service health", () => serviceHealth.close());
  const planOf = profile === "full" ? (plan: NodePlan) => names.planOf(plan) : onlyInterception();
  const loop: PlanLoop = new PlanLoop({
    clock: host.clock,
    log,
    compile: () => planOf(compiler.plan()),
    apply: (plan) => applier.apply(plan),
    applied: (plan) => {
      void connections.applied(plan).catch((error: unknown) => log.warn("could not look for connections of endpoints that went", { error }));
      zone?.set(plan.zone);
      serviceHealth.applied(plan);
      reporter.applied(plan);
      health.set("plan", undefined);
      metrics.applied.add();
      metrics.pods.set(plan.pods.length);
    },
  });
  parts.closing("plan", () => loop.stop());
  const following = names.follow(() => loop.changed());
  parts.closing("names", () => following.close());

  const flows = rememberDrops({ host, netlink, parts, metrics, node, plan: () => loop.plan, podAt: (ip) => state.podAt(ip) });
  const pages = await whenFree(host, log, () => servePages(host, { ...options.pages, world: () => state.world, flows, health, metrics: () => metrics.text() }));
  parts.closing("pages", () => pages.close());

  void answerRuntime({ ...options, host, log, health, parts, state, records, wired, compiler, loop, applier, proxies, reporter, lastState }).catch(
    (error: unknown) => {
      health.set("cni", "not started; the log says why");
      log.error("the node's network could not be started; the agent must be started again", { object: `Node ${node}`, error });
    },
  );
  return { stop: () => parts.stop(), findPod: (key) => state.findPod(key) };
}

function healthAtStart(): Health {
  const health = new Health();
  health.set("api", "waiting for the first lists");
  health.set("plan", "not applied yet");
  health.set("cni", "waiting for the first plan");
  return health;
}

interface RuntimeAnswers extends NodeAgentOptions {
  readonly host: Host;
  readonly log: Log;
  readonly health: Health;
  readonly parts: Parts;
  readonly state: ClusterState;
  readonly records: PodRecords;
  /** Pods of a former agent. */
  readonly wired: readonly PodRecord[];
  readonly compiler: NodeCompiler;
  readonly loop: PlanLoop;
  readonly applier: PlanApplier;
  readonly proxies: PodProxies;
  readonly reporter: Reporter;
  readonly lastState: LastState;
}

/** The socket is what tells the runtime that pods can have a network: not before the first plan is in force. */
async function answerRuntime(options: RuntimeAnswers): Promise<void> {
  const { host, log, parts, node, profile, folder, settings, state, records, wired, compiler, loop, applier, proxies } = options;
  const { netnsPath = (path: string) => path } = options;
  const requests = new CniRequests({
    host,
    profile,
    records,
    podCIDR: () => rangeOf(state.world.Node?.get(node)),
    findPod: (key) => state.findPod(key),
    podAt: (ip) => state.podAt(ip),
    wire: (pod) => compiler.wire(pod),
    unwire: (uid) => compiler.unwire(uid),
    applied: () => loop.applied(),
    failureOf: (uid) => applier.failures.get(uid),
    verify: (uid) => applier.verify(uid),
    policiesKnown: policiesKnown({ host, api: options.api, log, world: () => state.world, isCurrent: () => state.isCurrent }),
    serveProxy: (record) => proxies.serve(record),
    forgetProxy: (uid) => proxies.forget(uid),
    netnsPath,
    dnsAddress: settings.dnsAddress,
    clusterDomain: settings.clusterDomain,
  });
  // What they were served last needs no API: a proxy that starts anew must not wait for one that is away.
  for (const record of wired) await proxies.serve(record);
  await state.ready;
  await loop.applied();
  for (const record of wired) {
    const pod = state.findPod(`${record.namespace}/${record.name}`);
    // A former version's records do not say which pods have a proxy.
    if (pod?.metadata.uid === record.uid) await proxies.serve({ ...record, ...proxyOf(pod) });
    else await proxies.forget(record.uid);
  }
  options.lastState.forgetOthers(new Set(wired.map(({ uid }) => uid)));
  parts.add("cni", await serveCni(host, `${folder}/cni.sock`, (request) => requests.handle(request)));
  const sweep = host.clock.every(SWEEP_EVERY_MS, () => {
    void requests.sweep().catch((error: unknown) => log.warn("could not forget pods that are gone; it is tried again", { error }));
  });
  parts.closing("sweep", () => sweep.cancel());
  await options.networkIsUp?.();
  // From now on the runtime asks: who has a network and is not known here will not be asked for any more.
  const { sandboxOf } = options;
  if (sandboxOf !== undefined) joinLatePods({ ...options, sandboxOf }, requests);
  options.health.set("cni", undefined);
  log.info("the node's network is up", { object: `Node ${node}`, pods: wired.length });
}

function joinLatePods(
  { host, log, node, state, records, reporter, parts, sandboxOf }: RuntimeAnswers & Required<Pick<NodeAgentOptions, "sandboxOf">>,
  requests: CniRequests,
): void {
  const late = new LatePods({
    node,
    log,
    pods: () => state.world.Pod?.values() ?? [],
    isKnown: (uid) => records.newestOf(uid) !== undefined,
    sandboxOf,
    join: (pod, record) => requests.join(pod, record),
    tell: (pod, word) => reporter.tell(pod, word),
  });
  const timer = host.clock.every(LATE_EVERY_MS, () => void late.look());
  parts.closing("late pods", () => timer.cancel());
  void late.look();
}

interface NamesOptions extends Pick<NodeAgentOptions, "settings" | "names" | "zoneFile"> {
  readonly host: Host;
  readonly netlink: NetlinkSession;
  readonly parts: Parts;
}

/** Before anything is known of the cluster: an agent that starts again must answer names at once. */
async function answerNames({ host, netlink, parts, settings, names: upstreams, zoneFile }: NamesOptions): Promise<ZoneCopy> {
  await netlink.addAddress("lo", `${settings.dnsAddress}/32`);
  const zone = await ZoneCopy.load(host, zoneFile, settings.clusterDomain);
  if (upstreams === undefined) return zone;
  const dns = await startDns(host, { address: { ip: settings.dnsAddress, port: DNS_PORT }, upstreams, zone: () => zone.current });
  parts.closing("dns", () => dns.close());
  return zone;
}

interface DropsOptions {
  readonly host: Host;
  readonly netlink: NetlinkSession;
  readonly parts: Parts;
  readonly metrics: AgentMetrics;
  readonly node: string;
  readonly plan: () => NodePlan | undefined;
  readonly podAt: (ip: string) => string | undefined;
}

function rememberDrops({ host, netlink, parts, metrics, node, plan, podAt }: DropsOptions): FlowLog {
  const flows = new FlowLog({ node, now: () => host.clock.now(), plan, podAt: (ip) => localName(plan(), ip) ?? podAt(ip) });
  const drops = netlink.nflog(DROP_LOG_GROUP, (packet) => {
    flows.received(packet);
    metrics.dropped.add();
  });
  parts.closing("flows", () => drops.close());
  return flows;
}

function rangeOf(node: Node | undefined): string | undefined {
  return node === undefined ? undefined : placeOf(node)?.podCIDR;
}

/** Before its status tells its address. */
function localName(plan: NodePlan | undefined, ip: string): string | undefined {
  const pod = plan?.pods.find((each) => each.ip === ip);
  return pod === undefined ? undefined : `${pod.namespace}/${pod.name}`;
}
