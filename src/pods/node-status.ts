/** The Node object and its Lease: that this node lives, what it has, and whether pods can be wired on it. */
import type { Host } from "#host/host.ts";
import type { Node } from "#model/core.ts";
import type { Lease } from "#model/coordination.ts";
import type { Log } from "#run/log.ts";
import type { Cluster } from "./cluster.ts";
import { kubeletPort } from "./kubelet/kubelet.ts";
import { nodeFolder, type PodsSettings } from "./settings.ts";
import { timestamp } from "./status.ts";

export interface Machine {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly kernelVersion: string;
  readonly osImage: string;
  readonly machineId: string;
  readonly bootId: string;
  readonly architecture: string;
}

const maxPods = 110;
// kubelet: the lease is renewed every 10 s and lasts 40 s; here the status goes with it.
const renewMs = 10_000;
const leaseSeconds = 40;
/** While the node is not Ready: it should be seen soon after the agent came up. */
const impatientMs = 100;

export async function readMachine(host: Pick<Host, "files" | "processes">): Promise<Machine> {
  const text = (path: string): Promise<string> => host.files.readText(path).catch(() => "");
  const cpuinfo = await text("/proc/cpuinfo");
  const memory = /^MemTotal:\s+(\d+) kB/m.exec(await text("/proc/meminfo"));
  const os = /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(await text("/etc/os-release"));
  const kernel = (await text("/proc/sys/kernel/osrelease")).trim();
  const machine = (await host.processes.run(["uname", "-m"])).stdout.trim();
  return {
    cpus: Math.max(1, [...cpuinfo.matchAll(/^processor\s*:/gm)].length),
    memoryBytes: Number(memory?.[1] ?? 0) * 1024,
    kernelVersion: kernel,
    osImage: os?.[1] ?? "Linux",
    machineId: (await text("/etc/machine-id")).trim(),
    bootId: (await text("/proc/sys/kernel/random/boot_id")).trim(),
    architecture: machine === "x86_64" ? "amd64" : machine === "aarch64" ? "arm64" : machine,
  };
}

export interface Readiness {
  readonly ready: boolean;
  readonly reason: string;
  readonly message: string;
}

/** `since` is when the condition last changed. */
export function nodeObject(
  settings: PodsSettings,
  machine: Machine,
  state: { readonly readiness: Readiness; readonly now: string; readonly since: string },
): Node {
  const { name, address, podCIDR } = settings.node;
  const resources = { cpu: String(machine.cpus), memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`, pods: String(maxPods) };
  const fine = (type: string, reason: string, message: string) => ({
    type,
    status: "False",
    reason,
    message,
    lastHeartbeatTime: state.now,
    lastTransitionTime: state.since,
  });
  const { readiness } = state;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": machine.architecture },
    },
    spec: { podCIDR, podCIDRs: [podCIDR] },
    status: {
      capacity: resources,
      allocatable: resources,
      conditions: [
        fine("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        fine("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        fine("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        {
          type: "Ready",
          status: readiness.ready ? "True" : "False",
          reason: readiness.reason,
          message: readiness.message,
          lastHeartbeatTime: state.now,
          lastTransitionTime: state.since,
        },
      ],
      addresses: [
        { type: "InternalIP", address },
        { type: "Hostname", address: name },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      nodeInfo: {
        machineID: machine.machineId,
        systemUUID: machine.machineId,
        bootID: machine.bootId,
        kernelVersion: machine.kernelVersion,
        osImage: machine.osImage,
        containerRuntimeVersion: "weft://0.1.0",
        kubeletVersion: "v1.33.0-weft",
        kubeProxyVersion: "",
        operatingSystem: "linux",
        architecture: machine.architecture,
      },
    },
  };
}

export interface HeartbeatOptions {
  readonly host: Pick<Host, "clock" | "net">;
  readonly cluster: Cluster;
  readonly settings: PodsSettings;
  readonly machine: Machine;
  readonly log: Log;
}

/** Beats until stopped. */
export function startHeartbeat(options: HeartbeatOptions): { stop(): void; readiness(): Readiness } {
  const { host, cluster, settings, log } = options;
  const stopped = new AbortController();
  let readiness: Readiness = { ready: false, reason: "KubeletNotReady", message: "starting" };
  let since = timestamp(host.clock.now());
  let written = "";
  let writtenAt = Number.NEGATIVE_INFINITY;

  const beat = async (): Promise<void> => {
    const now = timestamp(host.clock.now());
    const next = await askAgent(host, settings);
    if (next.ready !== readiness.ready || written === "") since = now;
    readiness = next;
    const key = JSON.stringify(readiness);
    if (key === written && host.clock.monotonic() - writtenAt < renewMs) return;
    await cluster.writeNode(nodeObject(settings, options.machine, { readiness, now, since }));
    await cluster.renewLease(lease(settings, host.clock.now()));
    written = key;
    writtenAt = host.clock.monotonic();
  };
  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await beat();
      } catch (error) {
        if (!stopped.signal.aborted) log.warn("heartbeat not written", { object: `Node ${settings.node.name}`, error });
        written = "";
      }
      // Between two beats the agent's socket is looked at, so that a dead agent is seen in seconds.
      await host.clock.sleep(readiness.ready && written !== "" ? 2000 : impatientMs, stopped.signal).catch(() => {});
    }
  };
  void loop();
  return { stop: () => stopped.abort(new Error("stopped")), readiness: () => readiness };
}

function lease(settings: PodsSettings, nowMs: number): Lease {
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: settings.node.name, namespace: "kube-node-lease" },
    spec: { holderIdentity: settings.node.name, leaseDurationSeconds: leaseSeconds, renewTime: `${new Date(nowMs).toISOString().slice(0, 23)}000Z` },
  };
}

/** The node is Ready when its agent takes calls of the CNI plugin: only then can pods get a network. */
function askAgent(host: Pick<Host, "net">, settings: PodsSettings): Promise<Readiness> {
  const path = `${nodeFolder(settings)}/cni.sock`;
  return new Promise((resolve) => {
    const connection = host.net.connect(
      { address: { path }, timeoutMs: 1000 },
      {
        onConnect() {
          resolve({ ready: true, reason: "KubeletReady", message: "the pod runtime and the node's agent are ready" });
          connection.destroy();
        },
        onData() {},
        onClose(error) {
          resolve({
            ready: false,
            reason: "KubeletNotReady",
            message: `container runtime network not ready: the agent's CNI socket does not answer (${error?.code ?? "closed"})`,
          });
        },
      },
    );
  });
}
