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
import type { RuntimeConfig } from "#model/config.ts";
import type { Pod } from "#model/core.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import { Health } from "#run/health.ts";
import type { Log } from "#run/log.ts";
import { Metrics } from "#run/metrics.ts";
import { Parts, type Running } from "#run/program.ts";
import { startAds } from "./ads/ads.ts";
import { PlanApplier } from "./apply-plan.ts";
import { ClusterState } from "./cluster-state.ts";
import { CniRequests, localPod } from "./cni-requests.ts";
import { serveCni } from "./cni-socket.ts";
import { lostEndpoints } from "./endpoint-changes.ts";
import { FlowLog } from "./flow-log.ts";
import { servePages } from "./pages.ts";
import { PlanLoop } from "./plan-loop.ts";
import { PodRecords } from "./pod-records.ts";
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
  const metrics = new Metrics();
  health.set("api", "waiting for the first lists");
  health.set("plan", "not applied yet");

  const netlink = host.netlink.open();
  parts.closing("netlink", () => netlink.close());
  // Before anything is known of the cluster: an agent that starts again must answer names at once.
  await netlink.addAddress("lo", `${settings.dnsAddress}/32`);
  const zone = await ZoneCopy.load(host, `${folder}/zone.json`, settings.clusterDomain);
  const dns = await startDns(host, {
    address: { ip: settings.dnsAddress, port: DNS_PORT },
    upstream: { ip: runtime.controlAddress, port: DNS_PORT },
    zone: () => zone.current,
  });
  parts.closing("dns", () => dns.close());

  const records = new PodRecords(host, `${folder}/pods.json`);
  const compiler = new NodeCompiler({ node, settings });
  const wired = await records.load();
  for (const record of wired) compiler.wire(localPod(record));

  const ads = startAds(host, { control: streamAddress(runtime.xdsAddress), tls, log });
  parts.add("ads", ads);
  const serveProxy = async (pod: Pod): Promise<void> => {
    const uid = pod.metadata.uid ?? "";
    if (!hasProxy(pod)) return;
    await host.files.makeDirectory(`${folder}/pods/${uid}`);
    await ads.add(
      { namespace: pod.metadata.namespace ?? "", name: pod.metadata.name, uid, serviceAccount: pod.spec.serviceAccountName ?? "default" },
      `${folder}/pods/${uid}/xds.sock`,
    );
  };

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
  const counts = counters(metrics);
  const loop: PlanLoop = new PlanLoop({
    clock: host.clock,
    log,
    compile: () => compiler.plan(),
    apply: (plan) => applier.apply(plan),
    applied: (plan) => {
      void forgetConnections(plan);
      zone.set(plan.zone);
      reporter.applied(plan);
      health.set("plan", undefined);
      counts.applied.add();
      counts.pods.set(plan.pods.length);
    },
  });
  parts.closing("plan", () => loop.stop());

  let balanced: NodePlan["balanced"] = [];
  const forgetConnections = async (plan: NodePlan): Promise<void> => {
    const lost = lostEndpoints(balanced, plan.balanced);
    balanced = plan.balanced;
    for (const match of lost) {
      await netlink
        .deleteConntrack(match)
        .catch((error: unknown) => log.warn("could not forget connections of an endpoint that went", { object: match.replySource?.ip ?? "", error }));
    }
  };

  const flows = new FlowLog({ node, now: () => host.clock.now(), plan: () => loop.plan, podAt: (ip) => localName(loop.plan, ip) ?? state.podAt(ip) });
  const drops = netlink.nflog(DROP_LOG_GROUP, (packet) => {
    flows.received(packet);
    counts.dropped.add();
  });
  parts.closing("flows", () => drops.close());
  const pages = await servePages(host, { address: { ip: own.address, port: PAGES_PORT }, tls, flows, health, metrics: () => metricsText(host, metrics) });
  parts.closing("pages", () => pages.close());

  const requests = new CniRequests({
    host,
    records,
    podCIDR: () => {
      const object = state.world.Node?.get(node);
      return object === undefined ? undefined : placeOf(object)?.podCIDR;
    },
    findPod: (key) => state.findPod(key),
    wire: (pod) => compiler.wire(pod),
    unwire: (uid) => compiler.unwire(uid),
    applied: () => loop.applied(),
    failureOf: (uid) => applier.failures.get(uid),
    serveProxy,
    forgetProxy: (uid) => ads.remove(uid),
    dnsAddress: settings.dnsAddress,
    clusterDomain: settings.clusterDomain,
  });

  // The socket is what tells the runtime that pods can have a network: not before the first plan is in force.
  const begin = async (): Promise<void> => {
    await state.ready;
    await loop.applied();
    for (const { namespace, name, uid } of wired) {
      const pod = state.findPod(`${namespace}/${name}`);
      if (pod?.metadata.uid === uid) await serveProxy(pod);
    }
    parts.add("cni", await serveCni(host, `${folder}/cni.sock`, (request) => requests.handle(request)));
    log.info("the node's network is up", { object: `Node ${node}`, pods: wired.length });
  };
  void begin().catch((error: unknown) =>
    log.error("the node's network could not be started; the agent must be started again", { object: `Node ${node}`, error }),
  );
  return parts;
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

/** Sidecars and gateways alike: injection gives them a container of this name. */
function hasProxy(pod: Pod): boolean {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some(({ name }) => name === "istio-proxy");
}

/** Before its status tells its address. */
function localName(plan: NodePlan | undefined, ip: string): string | undefined {
  const pod = plan?.pods.find((each) => each.ip === ip);
  return pod === undefined ? undefined : `${pod.namespace}/${pod.name}`;
}

/** Under Prometheus' usual name. The second number of statm is resident pages. */
async function metricsText(host: Pick<Host, "files">, metrics: Metrics): Promise<string> {
  const pages = Number((await host.files.readText("/proc/self/statm")).split(" ")[1]);
  const help = "# HELP process_resident_memory_bytes Resident memory size in bytes.\n# TYPE process_resident_memory_bytes gauge\n";
  return `${help}process_resident_memory_bytes ${pages * PAGE_BYTES}\n${metrics.text()}`;
}

const PAGE_BYTES = 4096;

function counters(metrics: Metrics) {
  return {
    dropped: metrics.counter({ name: "weft_agent_dropped_packets_total", help: "Packets of pods that the node dropped and logged." }).with(),
    applied: metrics.counter({ name: "weft_agent_plans_applied_total", help: "Plans of the node that were brought into force." }).with(),
    pods: metrics.gauge({ name: "weft_agent_pods_count", help: "Pods that the node's plan wires." }).with(),
  };
}
