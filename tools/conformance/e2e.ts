/** Kubernetes' network e2e tests against a cluster whose network Weft is; docs/conformance/kubernetes-e2e.md tells how it went. */
import { spawn, type StdioOptions } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setUpPeer, type Peer } from "#tools/kubernetes/peer.ts";
import { runningKubernetes, startKubernetes, type KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { keepEvidence } from "#tools/kubernetes/evidence.ts";
import { installWeft } from "#tools/kubernetes/product.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { root } from "#tools/run-command.ts";
import { provideTestImages } from "./test-images.ts";
import { readResults, tableOf, withReport, type Results } from "./results.ts";
import { askedOf, focusOn, nameOf, specsIn, whyNotHere, type GinkgoReport, type Spec } from "./specs.ts";

const FOLDER = join(root, "docs/conformance");
const RESULTS = join(FOLDER, "kubernetes-e2e.json");
const TABLE = join(FOLDER, "kubernetes-e2e.md");

export interface E2eOptions {
  /** Of the specs that are asked, those whose names match. */
  readonly focus?: RegExp;
  /** Against Debian's bridge plugin and kube-proxy, without Weft: what can pass here at all. Nothing is written. */
  readonly isBaseline: boolean;
  /** Only what has not passed yet, by the results that are kept. */
  readonly isRest: boolean;
  /** Against the cluster that is up, as it is. */
  readonly isRunning: boolean;
  readonly timeoutMinutes: number;
  /** Runs at once: the tests wait more than they compute. */
  readonly shards: number;
}

/** True when all that ran passed. */
export async function e2e({ focus, isBaseline, isRest, isRunning, timeoutMinutes, shards }: E2eOptions): Promise<boolean> {
  const cluster = isRunning ? runningKubernetes("full") : await startKubernetes(isBaseline ? "mesh" : "full");
  try {
    const { peer } = cluster;
    if (peer === undefined) throw new Error("the e2e tests are started by the scripts of ../shared/peers/kubernetes; KUBECONFIG must not be set");
    await setUpPeer(peer, { e2e: "e2e.test", agnhost: "img/agnhost.tar" });
    if (!isRunning) await provideTestImages(cluster);
    if (!isBaseline && !isRunning) await installWeft(cluster);
    const asked = askedOf(await ginkgo(peer, ".", "--ginkgo.dry-run"));
    const known = isRest ? readResults(RESULTS)?.specs : undefined;
    const chosen = asked.filter(({ name }) => (focus?.test(name) ?? true) && whyNotHere(name) === undefined && known?.[name]?.state !== "passed");
    progress(`${chosen.length} of ${asked.length} specs, ${shards} at once, ${timeoutMinutes} minutes at most`);
    const report = (await Promise.all(split(chosen, shards).map((some) => runSome(peer, some, timeoutMinutes)))).flat();
    const ran = tell(report, chosen);
    if (!isBaseline) {
      write({ asked, report, kubernetes: await versionOf(cluster) });
      if (ran.failed > 0) progress(`objects, events and logs are kept in ${await keepEvidence(cluster, "e2e")}`);
    }
    return ran.failed === 0 && ran.passed > 0;
  } finally {
    await cluster.stop();
  }
}

function split(specs: readonly Spec[], parts: number): readonly (readonly Spec[])[] {
  return Array.from({ length: parts }, (_, part) => specs.filter((_spec, index) => index % parts === part)).filter((some) => some.length > 0);
}

function runSome(peer: Peer, specs: readonly Spec[], minutes: number): Promise<GinkgoReport> {
  return ginkgo(peer, focusOn(specs.map(({ name }) => name)), `--ginkgo.timeout=${minutes}m`, "--ginkgo.v");
}

async function ginkgo(peer: Peer, focus: string, ...args: readonly string[]): Promise<GinkgoReport> {
  const folder = mkdtempSync(join(tmpdir(), "weft-e2e-"));
  const [file, output] = [join(folder, "report.json"), join(folder, "output.txt")];
  progress(`what the tests say: ${output}`);
  const to = openSync(output, "w");
  const options = { env: { ...process.env, WEFT_K8S: peer.home }, stdio: ["ignore", to, to] satisfies StdioOptions };
  const child = spawn(join(peer.scripts, "e2e.sh"), [focus, ...args, `--ginkgo.json-report=${file}`], options);
  await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  closeSync(to);
  return JSON.parse(readFileSync(file, "utf8")) as GinkgoReport;
}

function tell(report: GinkgoReport, chosen: readonly Spec[]): { readonly passed: number; readonly failed: number } {
  const names = new Set(chosen.map(({ name }) => name));
  let passed = 0;
  let failed = 0;
  for (const spec of specsIn(report)) {
    if (!names.has(nameOf(spec)) || spec.State === "pending" || (spec.State === "skipped" && spec.RunTime === 0)) continue;
    if (spec.State === "passed") passed += 1;
    else if (spec.State !== "skipped") failed += 1;
    const why = spec.State === "passed" ? "" : `: ${(spec.Failure?.Message ?? "").trim().split("\n")[0] ?? ""}`;
    console.log(`${spec.State.padEnd(8)} ${(spec.RunTime / 1e9).toFixed(1).padStart(6)} s  ${nameOf(spec)}${why}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return { passed, failed };
}

async function versionOf(cluster: KubernetesCluster): Promise<string> {
  const { gitVersion } = JSON.parse(await cluster.get("get", "--raw", "/version")) as { readonly gitVersion: string };
  return gitVersion;
}

function write({ asked, report, kubernetes }: { readonly asked: readonly Spec[]; readonly report: GinkgoReport; readonly kubernetes: string }): void {
  const before: Results = { specs: {}, ...readResults(RESULTS), kubernetes };
  const results = withReport(before, asked, report);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(TABLE, tableOf(results, asked));
  progress(`written: ${TABLE}`);
}
