/**
 * 1,000 Services, and one of them gets its first endpoint: how long until a pod of the other node can connect. The clock starts when
 * the API server tells its watchers of the EndpointSlice, and ends when a loop of connects succeeds.
 */
import { spawn } from "node:child_process";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { controlNetns } from "#tools/kubernetes/peer.ts";
import { median, type Figures } from "./figures.ts";
import { create, field, NAMESPACE, podManifest, podsReady, serviceManifest } from "./pods.ts";
import { watch } from "./watch.ts";

const PORT = 8080;
const PATIENCE_MS = 60_000;
const SERVER = `require("node:http").createServer((_, answer) => answer.end("x")).listen(${PORT})`;
const SLEEPER = "setInterval(() => {}, 1 << 30)";
/** Says "trying", then the time of the first success. */
const CONNECTOR = `const net = require("node:net");
const [host, port] = process.argv.slice(1);
let told = false;
const attempt = () => {
  const socket = net.connect(Number(port), host);
  const again = () => { socket.destroy(); if (!told) { told = true; console.log("trying"); } setTimeout(attempt, 2); };
  socket.setTimeout(50, again);
  socket.once("error", again);
  socket.once("connect", () => { console.log("connected " + Date.now()); process.exit(); });
};
attempt();`;

export async function newEndpoint(
  cluster: KubernetesCluster,
  { image, services, rounds }: { image: string; services: number; rounds: number },
): Promise<Figures> {
  const [near = "", far = ""] = cluster.nodes?.names ?? [];
  await create(
    cluster,
    podManifest({ name: "endpoint-server", namespace: NAMESPACE, node: far, script: { image, text: SERVER } }),
    podManifest({ name: "endpoint-client", namespace: NAMESPACE, node: near, script: { image, text: SLEEPER } }),
  );
  const many = Array.from({ length: services }, (_, index) => serviceManifest(`many-${index}`, NAMESPACE, { app: "endpoint-server" }));
  const fresh = Array.from({ length: rounds }, (_, index) => serviceManifest(`fresh-${index}`, NAMESPACE));
  await create(cluster, ...many, ...fresh);
  await podsReady(cluster, NAMESPACE, "endpoint-server", "endpoint-client");
  const address = await field(cluster, NAMESPACE, "pod/endpoint-server", ".status.podIP");
  const last = await field(cluster, NAMESPACE, `service/many-${services - 1}`, ".spec.clusterIP");
  await (await connecting(cluster, last, false)).connected();
  const watching = await watch(cluster, "-n", NAMESPACE, "get", "endpointslices", "-o", "name");
  try {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const name = `fresh-${round}`;
      const trying = await connecting(cluster, await field(cluster, NAMESPACE, `service/${name}`, ".spec.clusterIP"), true);
      await create(cluster, endpointSlice(name, address));
      const written = await watching.seen(new RegExp(`endpointslice[^/]*/${name}$`), PATIENCE_MS);
      times.push((await trying.connected()) - written);
    }
    return {
      [`new endpoint reachable among ${services} Services, median`]: { value: median(times), unit: "ms" },
      [`new endpoint reachable among ${services} Services, slowest`]: { value: Math.max(...times), unit: "ms" },
    };
  } finally {
    watching.stop();
  }
}

function endpointSlice(service: string, address: string): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: service, namespace: NAMESPACE, labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [{ name: "http", port: PORT, protocol: "TCP" }],
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  };
}

/** Resolves when it tries (or at once, when there is nothing to wait for). */
async function connecting(cluster: KubernetesCluster, host: string, firstFails: boolean): Promise<{ connected(): Promise<number> }> {
  const inside = cluster.peer === undefined ? [] : ["nsenter", `--net=${controlNetns(cluster.peer)}`];
  const command = [...inside, "kubectl", "-n", NAMESPACE, "exec", "endpoint-client", "--", "/opt/weft/bin/node", "-e", CONNECTOR, host, String(PORT)];
  const [program = "kubectl", ...args] = command;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, KUBECONFIG: cluster.kubeconfig } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const line = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new Error(`no connection from a pod to ${host}:${PORT} within ${PATIENCE_MS / 1000} s: ${said.trim()}`));
      }, PATIENCE_MS);
      const look = (): void => {
        const found = pattern.exec(said);
        if (found === null) return;
        clearTimeout(timer);
        child.stdout.off("data", look);
        resolve(found);
      };
      child.stdout.on("data", look);
      look();
    });
  if (firstFails) await line(/trying|connected/);
  return { connected: async () => Number((await line(/connected (\d+)/))[1]) };
}
