/**
 * `npm run demo`: brings up a two-node cluster with Bookinfo, shows what the mesh and the network do to real requests,
 * and stays until Ctrl-C. `--once` ends by itself, with status 0 only if everything held.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Report, secondsSinceStart } from "./demo/report.ts";
import { showAll } from "./demo/scenes.ts";
import { CLUSTER, runWeft, startWeft } from "./demo/weft-command.ts";
import { openDemoCluster, startCapture } from "./demo/demo-cluster.ts";

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
  await Promise.race([show(), ended, new Promise((resolve) => asked.signal.addEventListener("abort", resolve))]);
} catch (error) {
  report.judge(false, `the demo itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
if (!asked.signal.aborted && !once && up.exitCode === null) {
  console.log(`\n${report.summary()}. The cluster stays until Ctrl-C; in another terminal:`);
  console.log(`  ./weft status --name ${CLUSTER}\n  ./weft why --name ${CLUSTER} productpage ratings:9080 --path /ratings/0`);
  await ended;
}
await end();

async function show(): Promise<void> {
  if (!(await nodesReady)) return;
  const capture = startCapture();
  if (await allReady) await showAll(await openDemoCluster(), report, capture);
}

/** Ends the cluster and this process. The demo starts from nothing each time, so its state is of use only when something failed. */
async function end(): Promise<never> {
  const kubeconfig = (await runWeft(["kubeconfig", "--name", CLUSTER])).stdout.trim();
  up.kill("SIGTERM");
  const code = await ended;
  const held = report.held || (asked.signal.aborted && !report.hasFailed);
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
