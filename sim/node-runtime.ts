/**
 * The pod runtime of a simulated node, as far as a scenario needs one: for each Pod that is bound to its node it makes a
 * namespace, calls CNI, starts the proxy when injection asked for one, then the application, and says that the Pod is
 * Ready. What it starts is the real proxy; its bootstrap is Envoy's.
 */
import { connectApi } from "#client/client.ts";
import type { ApiClient } from "#client/client.ts";
import { followWorld } from "#client/informer.ts";
import { fakeHost } from "#host/fake/fake.ts";
import type { FakeFiles } from "#host/fake/files.ts";
import type { FakeWorld } from "#host/fake/world.ts";
import type { Host } from "#host/host.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { Pod } from "#model/core.ts";
import { startProxy } from "#proxy/proxy.ts";
import type { Proxy } from "#proxy/proxy.ts";
import { silentLog } from "#run/log.ts";
import { reconcileLoop } from "#run/reconcile.ts";
import type { Certificates } from "./certificates.ts";

export type Application = (host: Host, pod: Pod, netns: string) => Promise<void>;

export interface NodeRuntimeOptions {
  readonly world: FakeWorld;
  readonly files: FakeFiles;
  readonly config: RuntimeConfig;
  readonly node: string;
  readonly tls: Certificates;
  /** What a container's image does. */
  readonly application: Application;
  readonly podHost?: ((host: Host) => Host) | undefined;
}

export function podNetns(pod: Pod): string {
  return `/run/netns/pod-${pod.metadata.uid ?? ""}`;
}

export interface NodeRuntime {
  readonly proxies: ReadonlyMap<string, Proxy>;
  stop(): Promise<void>;
}

export function startNodeRuntime(options: NodeRuntimeOptions): NodeRuntime {
  const { world, files, config, node, tls } = options;
  const host = fakeHost(world, { name: `runtime-${node}`, netns: `/run/netns/${node}`, files });
  const api = connectApi({ host, url: config.apiUrl, tls });
  const pods = new Map<string, Pod>();
  const proxies = new Map<string, Proxy>();
  const started = new Set<string>();
  const loop = reconcileLoop({
    name: "pod",
    host,
    log: silentLog,
    concurrency: 10,
    async reconcile(key) {
      const pod = pods.get(key);
      if (pod === undefined || started.has(pod.metadata.uid ?? "")) return;
      started.add(pod.metadata.uid ?? "");
      await startPod({ ...options, host, api, pod, proxies });
    },
  });
  const followed = followWorld(api, ["Pod"], {
    host,
    changed(changes) {
      for (const { key, after } of changes) {
        const pod = after as Pod | undefined;
        if (pod?.spec.nodeName !== node) pods.delete(key);
        else {
          pods.set(key, pod);
          loop.add(key);
        }
      }
    },
  });
  return {
    proxies,
    async stop() {
      followed.stop();
      await loop.stop();
      for (const proxy of proxies.values()) await proxy.stop();
    },
  };
}

interface PodStart extends NodeRuntimeOptions {
  readonly host: Host;
  readonly api: ApiClient;
  readonly pod: Pod;
  readonly proxies: Map<string, Proxy>;
}

async function startPod({ world, files, config, node, host, api, pod, proxies, application, podHost: spoiled }: PodStart): Promise<void> {
  const { name, namespace = "default", uid = "" } = pod.metadata;
  const netns = podNetns(pod);
  const folder = `${config.runDir}/nodes/${node}`;
  await host.netns.create(netns);
  const podIP = await cniAdd(host, `${folder}/cni.sock`, { namespace, name, uid, netns });
  world.record(`runtime ${node}`, `Pod ${namespace}/${name} wired as ${podIP}`);
  const sound = fakeHost(world, { name: `${namespace}/${name}`, netns, files });
  const podHost = spoiled?.(sound) ?? sound;
  if (pod.spec.containers.some((container) => container.name === "istio-proxy")) {
    const proxy = await startProxy(podHost, { bootstrap: JSON.stringify(bootstrapOf(pod, podIP, `${folder}/pods/${uid}/xds.sock`)) });
    proxies.set(`${namespace}/${name}`, proxy);
    while (!proxy.ready) await host.clock.sleep(10);
    world.record(`proxy ${namespace}/${name}`, "ready");
  }
  await application(podHost, pod, netns);
  const now = new Date(host.clock.now()).toISOString();
  const condition = (type: string) => ({ type, status: "True", lastTransitionTime: now });
  const status = { phase: "Running", podIP, podIPs: [{ ip: podIP }], hostIP: config.nodes.find((each) => each.name === node)?.address, startTime: now };
  await api.patch(
    "Pod",
    { name, namespace },
    { status: { ...status, conditions: ["Initialized", "ContainersReady", "Ready"].map(condition) } },
    { subresource: "status" },
  );
  world.record(`runtime ${node}`, `Pod ${namespace}/${name} ready`);
}

/** As the plugin does: one line of JSON to the agent's socket, one back. */
function cniAdd(host: Host, socket: string, pod: { namespace: string; name: string; uid: string; netns: string }): Promise<string> {
  const request = {
    command: "ADD",
    cniVersion: "1.1.0",
    network: "weft",
    containerId: pod.uid,
    netns: pod.netns,
    interface: "eth0",
    args: { K8S_POD_NAMESPACE: pod.namespace, K8S_POD_NAME: pod.name, K8S_POD_UID: pod.uid },
    socket,
    validContainerIds: [],
  };
  return new Promise((resolve, reject) => {
    let text = "";
    const connection = host.net.connect(
      { address: { path: socket } },
      {
        onConnect: () => connection.write(`${JSON.stringify(request)}\n`),
        onData: (bytes) => {
          text += Buffer.from(bytes).toString();
        },
        onEnd: () => connection.end(),
        onClose(error) {
          if (error !== undefined) return reject(new Error(`CNI ADD of ${pod.name}: ${error.message}`));
          const reply = JSON.parse(text) as { readonly result?: { readonly ips: readonly { readonly address: string }[] } };
          const address = reply.result?.ips[0]?.address.split("/")[0];
          if (address === undefined) reject(new Error(`CNI ADD of ${pod.name}: ${text}`));
          else resolve(address);
        },
      },
    );
  });
}

function bootstrapOf(pod: Pod, podIP: string, socket: string): unknown {
  const { name, namespace = "default", labels = {} } = pod.metadata;
  const ads = { ads: {}, resource_api_version: "V3" };
  const cluster = (clusterName: string): unknown => ({
    name: clusterName,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: clusterName, endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }] },
  });
  return {
    node: {
      id: `sidecar~${podIP}~${name}.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `${labels["app"] ?? name}.${namespace}`,
      metadata: { NAMESPACE: namespace, NAME: name, LABELS: labels },
    },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: { api_type: "DELTA_GRPC", transport_api_version: "V3", grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }] },
    },
    // SOL_SOCKET, SO_MARK 0x539: what the pod's rules let through.
    cluster_manager: { upstream_bind_config: { socket_options: [{ level: 1, name: 36, int_value: 0x539, state: "STATE_PREBIND" }] } },
    static_resources: { clusters: [cluster("xds-grpc"), cluster("sds-grpc")] },
  };
}
