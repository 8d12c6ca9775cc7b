/**
 * The pod runtime of one node: it stands where kubelet and containerd stand in Kubernetes. It follows the Pods bound to
 * its node and makes each one real: a network namespace wired by CNI, volumes, the pod's proxy, and containers as
 * sandboxed processes of programs that the image map names. It probes them, restarts them, stops them in order, and
 * writes what is true into the Pods' status; it keeps the Node object alive; it answers for logs and exec.
 *
 * Trust: what a pod runs is kept in by sandbox/ (read sandbox.ts first), and only there. The proxy runs outside of it.
 *
 * Restart: containers are processes that write into files and need no runtime to go on. When this program stops or is
 * killed they stay; the next one finds them by its records (record.ts, container-process.ts) and goes on with them, or
 * stops what no Pod wants any more. Everything dies with the cluster's pid namespace.
 */
import { connectApi } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { ApiCluster } from "./api-cluster.ts";
import { serveKubelet } from "./kubelet/kubelet.ts";
import { NodePods } from "./node-pods.ts";
import { readMachine, startHeartbeat } from "./node-status.ts";
import { seccompFilter } from "./sandbox/seccomp.ts";
import { nodeFolder, type PodsSettings } from "./settings.ts";

export interface PodsConfig {
  readonly runtime: RuntimeConfig;
  readonly node: string;
}

export type PodsHost = Pick<Host, "clock" | "random" | "files" | "http" | "net" | "netns" | "processes">;

export async function start(host: PodsHost, { runtime, node }: PodsConfig, log: Log): Promise<Running> {
  const parts = new Parts({ clock: host.clock, log });
  const pki = `${runtime.runDir}/pki/${node}`;
  const [certificate, privateKey, ca] = await Promise.all(["tls.crt", "tls.key", "ca.crt"].map((name) => host.files.readText(`${pki}/${name}`)));
  if (certificate === undefined || privateKey === undefined || ca === undefined) throw new Error(`${pki}: the node's certificate is not complete`);
  const settings = settingsOf(runtime, node, ca);
  await host.files.makeDirectory(nodeFolder(settings), { mode: 0o755 });
  const seccomp = `${nodeFolder(settings)}/seccomp.bpf`;
  await host.files.writeAtomic(seccomp, seccompFilter());
  const machine = await readMachine(host);

  let pods: NodePods | undefined;
  const cluster = parts.add(
    "api",
    new ApiCluster({
      api: connectApi({ host, url: runtime.apiUrl, tls: { ca, certificate, privateKey }, userAgent: "weft-pods" }),
      host,
      log,
      nodeName: node,
      podsChanged: () => pods?.sync(),
      sourcesChanged: () => pods?.sourcesChanged(),
    }),
  );
  const heartbeat = startHeartbeat({ host, cluster, settings, machine, log });
  parts.closing("heartbeat", () => heartbeat.stop());
  const nodePods = new NodePods({ host, settings, cluster, log, capacity: machine, seccomp });
  const server = await serveKubelet({
    host,
    address: settings.node.address,
    tls: { certificate, privateKey, clientCa: ca },
    find: (namespace, name) => nodePods.find(namespace, name),
    health() {
      const { ready, message } = heartbeat.readiness();
      return { ok: ready, text: `${ready ? "[+]" : "[-]"}node ${message}\n` };
    },
    metrics: () => metricsText(nodePods),
  });
  parts.closing("kubelet", () => server.close());
  parts.add("pods", nodePods);
  await nodePods.load();
  // Before the first list an empty World would mean that no pod is wanted.
  void cluster.synced.then(() => {
    pods = nodePods;
    nodePods.sync();
  });
  log.info("pod runtime is up", { object: `Node ${node}` });
  return parts;
}

const firstNodeUid = 100_000;

function settingsOf(runtime: RuntimeConfig, nodeName: string, clusterCa: string): PodsSettings {
  const nodeIndex = runtime.nodes.findIndex((node) => node.name === nodeName);
  const node = runtime.nodes[nodeIndex];
  if (node === undefined)
    throw new Error(`--node ${nodeName}: the runtime configuration has no such node (it has ${runtime.nodes.map((each) => each.name).join(", ")})`);
  return {
    node,
    nodeIndex,
    runFolder: runtime.runDir,
    netnsFolder: "/run/netns",
    stateFolder: runtime.stateDir,
    nodeBinary: runtime.node24,
    sourceRoot: runtime.sourceRoot,
    programs: runtime.programs,
    firstHostUid: runtime.rootless ? undefined : (runtime.podUid ?? firstNodeUid),
    dnsAddress: runtime.dnsAddress,
    images: runtime.images,
    clusterCa,
  };
}

/** Names as kubelet's. */
function metricsText(pods: NodePods): string {
  const { containers, restarts } = pods.running();
  const gauge = (name: string, help: string, value: number): string => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`;
  return [
    gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", pods.size),
    gauge("kubelet_running_containers", "Number of containers currently running", containers),
    gauge("weft_pods_container_restarts", "Restarts of the containers that are here now", restarts),
  ].join("");
}
