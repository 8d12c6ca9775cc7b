/**
 * Requests from a pod to a Service whose pod is on the other node. wrk and nginx run in the network namespaces of two pods that do
 * nothing themselves, so that no image has to bring them; what is counted is the CPU of all processes that a request passes
 * (wrk, nginx and, in the mesh, both proxies), with the interrupts that they were charged with.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubernetesCluster, NodeAccess } from "#tools/kubernetes/cluster.ts";
import { findProgram } from "#tools/peers.ts";
import { readWrk } from "#bench/measure.ts";
import { median, type Figures } from "./figures.ts";
import { cpuNanoseconds, processesOf, type NodeProcess } from "./node-processes.ts";
import { create, field, podManifest, podsReady, serviceManifest } from "./pods.ts";

const PORT = 8080;
const CONNECTIONS = 32;
/** Proxies cost more until their just-in-time compiler has settled (bench/bench.ts); a busy machine gives fewer answers. */
const WARM_ANSWERS = 100_000;
const WARM_AT_MOST_SECONDS = 20;
const WARM_STEP_SECONDS = 4;
const ROUNDS = 3;
/** Bulk answers are a megabyte. */
const BULK_BYTES = 1e6;

export async function traffic(cluster: KubernetesCluster, namespace: string, { what, seconds }: { what: string; seconds: number }): Promise<Figures> {
  const { nodes } = cluster;
  if (nodes === undefined) throw new Error("needs access to the nodes");
  for (const [program, from] of [
    ["wrk", "wrk"],
    ["nginx", "nginx-light"],
  ] as const)
    if (findProgram(program) === undefined) throw new Error(`${program} is not on this machine; run: sudo apt-get install -y ${from}`);
  const [near = "", far = ""] = nodes.names;
  await create(
    cluster,
    podManifest({ name: "client", namespace, node: near }),
    podManifest({ name: "server", namespace, node: far }),
    serviceManifest("server", namespace, { app: "server" }),
  );
  await podsReady(cluster, namespace, "client", "server");
  const address = await field(cluster, namespace, "service/server", ".spec.clusterIP");
  const client = await podProcesses(cluster, nodes, { namespace, name: "client", node: near });
  const server = await podProcesses(cluster, nodes, { namespace, name: "server", node: far });
  const nginx = await startNginx(nodes, server);
  try {
    const run = (path: string, duration: number): ReturnType<typeof load> => load(nodes, client, `http://${address}:${PORT}/${path}`, duration);
    await untilServed(() => run("", 1));
    for (let answers = 0, spent = 0; answers < WARM_ANSWERS && spent < WARM_AT_MOST_SECONDS; spent += WARM_STEP_SECONDS)
      answers += (await run("", WARM_STEP_SECONDS)).requests;
    const passed = [...client, ...server].filter(isProxy);
    const small: { readonly perSecond: number; readonly cpuUs: number; readonly p50Ms: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const before = await cpuNanoseconds(nodes, [...passed, ...(await nginx.processes())]);
      const result = await run("", seconds);
      const after = await cpuNanoseconds(nodes, [...passed, ...(await nginx.processes())]);
      if (result.errors > 0) throw new Error(`${result.errors} of ${result.requests} requests failed`);
      small.push({ perSecond: result.requestsPerSecond, cpuUs: ((after - before) / 1e3 + result.cpuSeconds * 1e6) / result.requests, p50Ms: result.p50Ms });
    }
    await run("bulk", 1);
    const bulk = await run("bulk", seconds);
    return {
      [`${what}: throughput`]: { value: median(small.map(({ perSecond }) => perSecond)), unit: "requests/s" },
      [`${what}: CPU a request, ends included`]: { value: median(small.map(({ cpuUs }) => cpuUs)), unit: "us" },
      [`${what}: p50 with ${CONNECTIONS} connections`]: { value: median(small.map(({ p50Ms }) => p50Ms)), unit: "ms" },
      [`${what}: bulk`]: { value: (bulk.requestsPerSecond * BULK_BYTES) / 1e6, unit: "MB/s" },
    };
  } finally {
    nginx.stop();
  }
}

const isProxy = ({ command }: NodeProcess): boolean => /\/(sidecar|proxy)\.mjs/.test(command);

async function podProcesses(
  cluster: KubernetesCluster,
  nodes: NodeAccess,
  { namespace, name, node }: { readonly namespace: string; readonly name: string; readonly node: string },
): Promise<readonly NodeProcess[]> {
  const uid = await field(cluster, namespace, `pod/${name}`, ".metadata.uid");
  const found = (await processesOf(nodes, node)).filter(({ podUid }) => podUid === uid);
  if (found.length === 0) throw new Error(`pod ${namespace}/${name} has no process on ${node}`);
  return found;
}

/** Words before a command that runs in the pod's network namespace. */
function inPod(nodes: NodeAccess, [first]: readonly NodeProcess[]): readonly [string, ...string[]] {
  if (first === undefined) throw new Error("a pod without processes");
  return [...nodes.prefix(first.node), "nsenter", `--net=/proc/${first.pid}/ns/net`];
}

async function startNginx(nodes: NodeAccess, pod: readonly NodeProcess[]): Promise<{ processes(): Promise<readonly NodeProcess[]>; stop(): void }> {
  const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
  const file = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
  writeFileSync(join(folder, "bulk"), Buffer.alloc(BULK_BYTES, "x"));
  writeFileSync(
    file,
    `user root; daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/log crit; events { worker_connections 1024; }
    http { access_log off; ${temporary} sendfile on; keepalive_requests 100000000;
      server { listen ${PORT} backlog=1024; root ${folder}; location = / { return 200 "${"x".repeat(100)}"; } } }`,
  );
  const [program, ...args] = [...inPod(nodes, pod), findProgram("nginx") ?? "nginx", "-c", file];
  const child: ChildProcess = spawn(program ?? "", args, { stdio: "ignore" });
  const node = pod[0]?.node ?? "";
  return {
    processes: async () => (await processesOf(nodes, node)).filter(({ command }) => command.startsWith("nginx:")),
    stop() {
      // The master ends its worker; it is in another PID namespace, where it is no child of this process.
      void nodes.run(node, "sh", "-c", `kill -TERM "$(cat ${folder}/pid)"`).finally(() => {
        child.kill("SIGKILL");
        rmSync(folder, { recursive: true, force: true });
      });
    },
  };
}

/** wrk in the pod's network; its own CPU is what its shell was told of its children (fields 16 and 17 of stat, in hundredths). */
async function load(nodes: NodeAccess, pod: readonly NodeProcess[], url: string, seconds: number) {
  const script = `wrk -t1 -c${CONNECTIONS} -d${seconds}s --latency ${url}; cut -d' ' -f16,17 /proc/$$/stat`;
  const [program, ...args] = [...inPod(nodes, pod), "sh", "-c", script];
  const text = await new Promise<string>((resolve, reject) => {
    const child = spawn(program ?? "", args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (said += bytes.toString()));
    child.on("error", reject);
    child.on("close", () => resolve(said));
  });
  const ticks = /^(\d+) (\d+)$/m.exec(text);
  return { ...readWrk(text), cpuSeconds: (Number(ticks?.[1]) + Number(ticks?.[2])) / 100 };
}

/** The first times nginx may not listen yet, or the Service may not lead to it. */
async function untilServed(ask: () => Promise<{ readonly requests: number; readonly errors: number }>): Promise<void> {
  let last = "";
  for (let tries = 0; tries < 20; tries++) {
    try {
      const { requests, errors } = await ask();
      if (requests > 0 && errors === 0) return;
      last = `${errors} errors, ${requests} answers`;
    } catch (error) {
      last = String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error(`the Service did not answer from the other node within 20 tries: ${last}`);
}
