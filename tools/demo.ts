/**
 * `npm run demo`: brings up a two-node cluster with Bookinfo, shows what the mesh and the network do to real requests,
 * and stays until Ctrl-C. `--once` ends by itself, with status 0 only if everything held.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { get } from "./demo/requests.ts";
import { Report, secondsSinceStart } from "./demo/report.ts";
import { showCutOff, showRefusals, showSplit, showWhy, showWire, startCapture, type Capture, type Scene } from "./demo/scenes.ts";
import { CLUSTER, runWeft, startWeft } from "./demo/weft-command.ts";
import { openDemoCluster } from "./demo/demo-cluster.ts";

const once = process.argv.includes("--once");
const report = new Report();
const up = startWeft(["up", "--name", CLUSTER, "--fresh", "-f", "examples/bookinfo"], "pipe");
const { promise: ended, resolve: upEnded } = Promise.withResolvers<number>();
up.on("close", (code) => upEnded(code ?? 1));
/** Ctrl-C, or our parent is gone: the cluster ends, and no scene goes on. */
const asked = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.on(signal, () => asked.abort());
asked.signal.addEventListener("abort", () => {
  report.silence();
  up.kill("SIGTERM");
});
up.stdout?.pipe(process.stdout);
up.stderr?.pipe(process.stderr);
const nodesReady = watchOutput(/nodes +.* Ready\n/);
const allReady = watchOutput(/Ctrl-C ends it/);

try {
  await Promise.race([showAll(), ended, new Promise((resolve) => asked.signal.addEventListener("abort", resolve))]);
} catch (error) {
  report.judge(false, `the demo itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
if (!asked.signal.aborted && !once && up.exitCode === null) {
  console.log(`\n${report.summary()}. The cluster stays until Ctrl-C; in another terminal:`);
  console.log(`  ./weft status --name ${CLUSTER}\n  ./weft why --name ${CLUSTER} productpage ratings:9080 --path /ratings/0`);
  await ended;
}
await end();

async function showAll(): Promise<void> {
  if (!(await nodesReady)) return;
  const capture = startCapture();
  if (await allReady) await show(capture);
}

async function show(capture: Capture): Promise<void> {
  const cluster = await openDemoCluster();
  report.heading("nodes and pods");
  const { nodes, pods } = await cluster.look();
  for (const line of [...nodes, ...pods]) report.fact(line.text);
  report.judge(nodes.length === 2 && nodes.every((node) => node.ready), `${nodes.length} nodes Ready`);
  report.judge(pods.length > 0 && pods.every((pod) => pod.ready), `${pods.length} pods Ready`);
  report.judge(new Set(pods.map((pod) => pod.node)).size === 2, "on both nodes");
  const { gateway } = cluster;
  const page = await report.eventually(
    () => get(`${gateway}/productpage`).catch((error: unknown) => ({ status: 0, headers: {}, body: String(error) })),
    ({ status }) => status === 200,
  );
  report.judge(page.status === 200 && page.body.includes("Comedy of Errors"), `${gateway}/productpage answers ${page.status}`);
  report.fact(`from nothing to the first answer through mutual TLS: ${secondsSinceStart().toFixed(1)} s`);
  const scene: Scene = { ...cluster, report };
  await showSplit(scene);
  await showWire(scene, capture);
  await showRefusals(scene);
  await showCutOff(scene);
  await showWhy(scene);
  report.isComplete = true;
}

/** Ends the cluster and this process. The demo starts from nothing each time, so its state is of use only when something failed. */
async function end(): Promise<never> {
  const kubeconfig = (await runWeft(["kubeconfig", "--name", CLUSTER])).stdout.trim();
  up.kill("SIGTERM");
  const code = await ended;
  const held = report.held || (asked.signal.aborted && report.failures === 0);
  const state = dirname(kubeconfig);
  if (held && kubeconfig !== "") await rm(state, { recursive: true, force: true });
  if (once && !asked.signal.aborted) console.log(`\n${held && code === 0 ? "PASS" : "FAIL"}  ${report.summary()}, ${secondsSinceStart().toFixed(1)} s`);
  if (!held && kubeconfig !== "") console.log(`      the logs of its programs and pods: ${state}/logs`);
  process.exit(held && code === 0 ? 0 : 1);
}

/** Shows the output of `weft up`; true when it says what is looked for, false when it ends before. */
function watchOutput(pattern: RegExp): Promise<boolean> {
  let text = "";
  return new Promise((resolve) => {
    up.stdout?.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      if (pattern.test(text)) resolve(true);
    });
    void ended.then(() => resolve(false));
  });
}
