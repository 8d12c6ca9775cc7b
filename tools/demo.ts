/**
 * `npm run demo`: brings up a two-node cluster with Bookinfo, shows what the mesh and the network do to real requests,
 * and stays until Ctrl-C. `--once` ends by itself, with status 0 only if everything held.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { get } from "./demo/requests.ts";
import { Report, secondsSinceStart } from "./demo/report.ts";
import { showRefusals, showSplit, showWhy, showWire, startCapture, type Scene } from "./demo/scenes.ts";
import { CLUSTER, runWeft, startWeft } from "./demo/weft-command.ts";
import { openDemoCluster } from "./demo/demo-cluster.ts";

const once = process.argv.includes("--once");
const report = new Report();
const up = startWeft(["up", "--name", CLUSTER, "--fresh", "-f", "examples/bookinfo"], "pipe");
let asked = false;
const ended = new Promise<number>((resolve) => up.on("close", (code) => resolve(code ?? 1)));
const end = (): void => {
  asked = true;
  up.kill("SIGTERM");
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.on(signal, end);
up.stdout?.pipe(process.stdout);
up.stderr?.pipe(process.stderr);

const nodesReady = watchOutput(/nodes +.* Ready\n/);
const allReady = watchOutput(/Ctrl-C ends it/);

try {
  const capture = (await nodesReady) ? startCapture() : undefined;
  if (capture !== undefined && (await allReady)) await show(capture);
} catch (error) {
  if (!asked) {
    report.failures += 1;
    console.error(error);
  }
}
if (!asked && !once && up.exitCode === null) {
  console.log("\nThe cluster stays until Ctrl-C. In another terminal:  ./weft status --name demo");
  await ended;
}
const kubeconfig = (await runWeft(["kubeconfig", "--name", CLUSTER])).stdout.trim();
if (up.exitCode === null) end();
const code = await ended;
// The demo starts from nothing each time, so its state is of no use to anybody.
if (kubeconfig !== "") await rm(dirname(kubeconfig), { recursive: true, force: true });
const held = report.failures === 0 && (asked || code === 0);
if (once) console.log(`\n${held ? "PASS" : "FAIL"}  ${held ? "all of it held" : `${report.failures} of it did not hold`}, ${secondsSinceStart().toFixed(1)} s`);
process.exit(held ? 0 : 1);

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

async function show(capture: ReturnType<typeof startCapture>): Promise<void> {
  const cluster = await openDemoCluster();
  report.heading("nodes and pods");
  const { nodes, pods } = await cluster.look();
  for (const line of [...nodes, ...pods]) report.fact(line.text);
  report.judge(nodes.length === 2 && nodes.every((node) => node.ready), `${nodes.length} nodes Ready`);
  report.judge(pods.length > 0 && pods.every((pod) => pod.ready), `${pods.length} pods Ready`);
  report.judge(new Set(pods.map((pod) => pod.node)).size === 2, "on both nodes");
  const gateway = cluster.gateway;
  const page = await report.eventually(
    () => get(`${gateway}/productpage`).catch((error: unknown) => ({ status: 0, headers: {}, body: String(error) })),
    ({ status }) => status === 200,
  );
  report.judge(page.status === 200 && page.body.includes("Comedy of Errors"), `${gateway}/productpage answers ${page.status}`);
  report.fact(`from nothing to the first answer through mutual TLS: ${secondsSinceStart().toFixed(1)} s`);
  const scene: Scene = { gateway, report, apply: cluster.apply, remove: cluster.remove };
  await showSplit(scene);
  await showWire(scene, capture);
  await showRefusals(scene);
  await showWhy(scene);
}
