/**
 * `npm run test:kubernetes`: the tests of test/kubernetes, on the cluster of KUBECONFIG or on the Kubernetes of this machine. Words
 * after -- choose files: `npm run test:kubernetes -- mesh`. Each file brings its cluster up and takes it down; what a file
 * that was killed left is taken down here.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { missingCluster } from "./kubernetes/cluster.ts";
import { findPeer, takeDownLeftovers } from "./kubernetes/peer.ts";
import { root } from "./run-command.ts";

const HOUR_MS = 3_600_000;
const folder = join(root, "test/kubernetes");
const words = process.argv.slice(2);
const files = readdirSync(folder).filter((file) => file.endsWith(".test.ts") && (words.length === 0 || words.some((word) => file.includes(word))));
const missing = missingCluster();
if (missing !== undefined) process.stderr.write(`SKIPPED: ${missing}\n`);

const reporter = ["--test-reporter", join(root, "tools/kubernetes/reporter.ts"), "--test-reporter-destination=stdout"];
const child = spawn(
  process.execPath,
  ["--test", "--test-concurrency=1", `--test-timeout=${HOUR_MS}`, ...reporter, ...files.map((file) => join(folder, file))],
  {
    cwd: root,
    stdio: "inherit",
  },
);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.on(signal, () => child.kill("SIGTERM"));
const code = await new Promise<number>((resolve) => child.on("close", (status) => resolve(status ?? 1)));
const peer = process.env["KUBECONFIG"] === undefined ? findPeer() : undefined;
if (peer !== undefined) await takeDownLeftovers(peer);
console.log(`${code === 0 ? "PASS" : "FAIL"}  ${missing === undefined ? files.join(", ") : "nothing ran"}`);
process.exit(code);
