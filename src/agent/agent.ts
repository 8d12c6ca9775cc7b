/**
 * The node: watches the API, compiles the node's plan, applies it; answers the CNI plugin and DNS; serves each pod's
 * proxy its configuration and identity; remembers dropped packets. Data passes one way: objects -> NodeCompiler -> plan
 * -> PlanApplier -> kernel (plan-loop.ts). It decides nothing about packets: what the kernel does is in the plan.
 *
 * It runs in its node's network namespace. What it makes outlives it: a new agent adopts links, addresses and rules, and
 * no connection notices. Without the API server it goes on with what it knows; names come from a copy on disk until then.
 */
import { NodeCompiler } from "#compile/node/node-compiler.ts";
import { DROP_LOG_GROUP, DEFAULT_SETTINGS, type NodeSettings } from "#compile/node/settings.ts";
import { placeOf } from "#compile/routes/routes.ts";
import { connectApi } from "#client/client.ts";
import { startDns } from "#dns/dns.ts";
import type { Host } from "#host/host.ts";
import type { NetlinkSession } from "#host/netlink.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { Node } from "#model/core.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import { Health } from "#run/health.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { startAds } from "./ads/ads.ts";
import { PlanApplier } from "./apply-plan.ts";
import { ClusterState } from "./cluster-state.ts";
import { CniRequests, localPod } from "./cni-requests.ts";
import { serveCni } from "./cni-socket.ts";
import { AgentMetrics } from "./counters.ts";
import { Connections } from "./endpoint-changes.ts";
import { FlowLog } from "./flow-log.ts";
import { servePages } from "./pages.ts";
import { PlanLoop } from "./plan-loop.ts";
import { PodProxies } from "./pod-proxies.ts";
import { PodRecords, type PodRecord } from "./pod-records.ts";
import { Reporter } from "./report.ts";
import { ZoneCopy } from "./zone-copy.ts";

export interface AgentConfig {
  readonly runtime: RuntimeConfig;
  readonly node: string;
}

const DNS_PORT = 53;
const PAGES_PORT = 10252;

export async function start(host: Host, { runtime, node }: AgentConfig, log: Log): Promise<Running> {
  const parts = new Parts({ clock: host.clock, log });
  const settings = settingsOf(runtime);
  const own = runtime.nodes.find(({ name }) => name === node);
  if (own === undefined) throw new Error(`there is no node ${node} in the cluster's configuration`);
  const folder = `${runtime.runDir}/nodes/${node}`;
  await host.files.makeDirectory(folder);
  const tls = await readCertificate(host, `${runtime.runDir}/pki/${node}`);
  const health = new Health();
  const metrics = new AgentMetrics(host);
  health.set("api", "waiting for the first lists");
  health.set("plan", "not applied yet");

  const netlink = host.netlink.open();
  parts.closing("netlink", () => netlink.close());
  const zone = await answerNames({ host, netlink, parts, settings, runtime, path: `${folder}/zone.json` });

  const records = new PodRecords(host, `${folder}/pods.json`);
  const compiler = new NodeCompiler({ node, settings });
  const wired = await records.load();
  for (const record of wired) compiler.wire(localPod(record));
  const ads = parts.add("ads", startAds(host, { control: streamAddress(runtime.xdsAddress), tls, log }));
  const proxies = new PodProxies({ host, ads, folder });

  const applier = new PlanApplier(host, log);
  parts.closing("applier", () => applier.close());
  const api = connectApi({ host, url: runtime.apiUrl, tls, userAgent: "weft-agent" });
  const state = new ClusterState({
    host,
    api,
    log,
    changed: (changes) => {
      const seen = changes.map(({ kind, key, after }) => compiler.apply(after === undefined ? { kind, key } : { kind, key, object: after }));
      health.set("api", undefined);
      if (seen.includes(true)) loop.changed();
    },
  });
  parts.closing("api", () => state.stop());
  const reporter = new Reporter({ host, api, log, node, findNode: () => state.world.Node?.get(node) });
  const connections = new Connections(netlink, log);
  const loop: PlanLoop = new PlanLoop({
    clock: host.clock,
    log,
    compile: () => compiler.plan(),
    apply: (plan) => applier.apply(plan),
    applied: (plan) => {
      void connections.applied(plan).catch((error: unknown) => log.warn("could not look for connections of endpoints that went", { error }));
      zone.set(plan.zone);
      reporter.applied(plan);
      health.set("plan", undefined);
      metrics.applied.add();
      metrics.pods.set(plan.pods.length);
    },
  });
  parts.closing("plan", () => loop.stop());

  const flows = rememberDrops({ host, netlink, parts, metrics, node, plan: () => loop.plan, podAt: (ip) => state.podAt(ip) });
  const pages = await servePages(host, { address: { ip: own.address, port: PAGES_PORT }, tls, flows, health, metrics: () => metrics.text() });
  parts.closing("pages", () => pages.close());

  void answerRuntime({ host, log, parts, node, folder, settings, state, records, wired, compiler, loop, applier, proxies }).catch((error: unknown) =>
    log.error("the node's network could not be started; the agent must be started again", { object: `Node ${node}`, error }),
  );
  return parts;
}

interface RuntimeAnswers {
  readonly host: Host;
  readonly log: Log;
  readonly parts: Parts;
  readonly node: string;
  readonly folder: string;
  readonly settings: NodeSettings;
  readonly state: ClusterState;
  readonly records: PodRecords;
  /** Pods of a former agent. */
  readonly wired: readonly PodRecord[];
  readonly compiler: NodeCompiler;
  readonly loop: PlanLoop;
  readonly applier: PlanApplier;
  readonly proxies: PodProxies;
}

/** The socket is what tells the runtime that pods can have a network: not before the first plan is in force. */
async function answerRuntime(options: RuntimeAnswers): Promise<void> {
  const { host, log, parts, node, folder, settings, state, records, wired, compiler, loop, applier, proxies } = options;
  const requests = new CniRequests({
    host,
    records,
    podCIDR: () => rangeOf(state.world.Node?.get(node)),
    findPod: (key) => state.findPod(key),
    wire: (pod) => compiler.wire(pod),
    unwire: (uid) => compiler.unwire(uid),
    applied: () => loop.applied(),
    failureOf: (uid) => applier.failures.get(uid),
    serveProxy: (pod) => proxies.serve(pod),
    forgetProxy: (uid) => proxies.forget(uid),
    dnsAddress: settings.dnsAddress,
    clusterDomain: settings.clusterDomain,
  });
  await state.ready;
  await loop.applied();
  for (const { namespace, name, uid } of wired) {
    const pod = state.findPod(`${namespace}/${name}`);
    if (pod?.metadata.uid === uid) await proxies.serve(pod);
  }
  parts.add("cni", await serveCni(host, `${folder}/cni.sock`, (request) => requests.handle(request)));
  log.info("the node's network is up", { object: `Node ${node}`, pods: wired.length });
}

interface NamesOptions {
  readonly host: Host;
  readonly netlink: NetlinkSession;
  readonly parts: Parts;
  readonly settings: NodeSettings;
  readonly runtime: RuntimeConfig;
  readonly path: string;
}

/** Before anything is known of the cluster: an agent that starts again must answer names at once. */
async function answerNames({ host, netlink, parts, settings, runtime, path }: NamesOptions): Promise<ZoneCopy> {
  await netlink.addAddress("lo", `${settings.dnsAddress}/32`);
  const zone = await ZoneCopy.load(host, path, settings.clusterDomain);
  const dns = await startDns(host, {
    address: { ip: settings.dnsAddress, port: DNS_PORT },
    upstream: { ip: runtime.controlAddress, port: DNS_PORT },
    zone: () => zone.current,
  });
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

function settingsOf(runtime: RuntimeConfig): NodeSettings {
  const { podCIDR, serviceCIDR, loadBalancerCIDR, dnsAddress, vni } = runtime;
  return { ...DEFAULT_SETTINGS, podCIDR, serviceCIDR, loadBalancerCIDR, dnsAddress, vni };
}

async function readCertificate(
  host: Pick<Host, "files">,
  folder: string,
): Promise<{ readonly certificate: string; readonly privateKey: string; readonly ca: string }> {
  return {
    certificate: await host.files.readText(`${folder}/tls.crt`),
    privateKey: await host.files.readText(`${folder}/tls.key`),
    ca: await host.files.readText(`${folder}/ca.crt`),
  };
}

/** "192.168.99.1:15012". */
function streamAddress(text: string): { readonly ip: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  return { ip: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}

/** Before its status tells its address. */
function localName(plan: NodePlan | undefined, ip: string): string | undefined {
  const pod = plan?.pods.find((each) => each.ip === ip);
  return pod === undefined ? undefined : `${pod.namespace}/${pod.name}`;
}
