/** Gateway API's conformance suite, for gateways and for the mesh; its reports are kept as the suite wrote them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "#cli/version.ts";
import { gatewayFeatures, meshFeatures } from "#compile/status/supported-features.ts";
import { runningKubernetes, startKubernetes, type KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { keepEvidence } from "#tools/kubernetes/evidence.ts";
import { setUpPeer } from "#tools/kubernetes/peer.ts";
import { installWeft } from "#tools/kubernetes/product.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { root } from "#tools/run-command.ts";
import { provideSuiteImages } from "./gateway-api-images.ts";
import { PROFILES, resultsIn, tableOf, type Profile, type TestResult } from "./gateway-api-results.ts";

const FOLDER = join(root, "docs/conformance");
/** Of the range that installWeft gives to load balancers, and of none. */
const USABLE = "10.77.1.200";
const UNUSABLE = "192.0.2.1";
/** Tests at once: they wait more than they compute. */
const AT_ONCE = 4;

export interface GatewayApiOptions {
  /** Name of a single test; nothing is written then. */
  readonly test?: string;
  /** Against the cluster that is up, as it is. */
  readonly isRunning: boolean;
  /** For each of the two runs. */
  readonly timeoutMinutes: number;
}

/** True when the suite ran to its end, whatever its verdict: the reports tell that. */
export async function gatewayApi({ test, isRunning, timeoutMinutes }: GatewayApiOptions): Promise<boolean> {
  const cluster = isRunning ? runningKubernetes("full") : await startKubernetes("full");
  try {
    const { peer } = cluster;
    if (peer === undefined) throw new Error("the suite is built by the scripts of ../shared/peers/kubernetes; KUBECONFIG must not be set");
    await setUpPeer(peer, { "gateway-api": "gateway-api.test", "echo-basic": "img/echo-v1.5.1.tar" });
    const suite = join(peer.home, "gateway-api.test");
    await provideSuiteImages(cluster, suite);
    if (!isRunning) await installWeft(cluster);
    const run = (profile: Profile) => runProfile(cluster, suite, { profile, timeoutMinutes, ...(test === undefined ? {} : { test }) });
    if (test !== undefined) return (await run(test.startsWith("Mesh") ? "MESH-HTTP" : "GATEWAY-HTTP")) !== undefined;
    mkdirSync(FOLDER, { recursive: true });
    const [gateway, mesh] = [await run("GATEWAY-HTTP"), await run("MESH-HTTP")];
    if (gateway === undefined || mesh === undefined) return false;
    writeFileSync(join(FOLDER, "gateway-api.md"), tableOf({ "GATEWAY-HTTP": gateway, "MESH-HTTP": mesh }));
    return true;
  } finally {
    await cluster.stop();
  }
}

interface ProfileRun {
  readonly profile: Profile;
  readonly timeoutMinutes: number;
  readonly test?: string;
}

/** undefined: it did not come to its end. */
async function runProfile(
  cluster: KubernetesCluster,
  suite: string,
  { profile, timeoutMinutes, test }: ProfileRun,
): Promise<readonly TestResult[] | undefined> {
  const { file, labels } = PROFILES[profile];
  const features = test === undefined ? PROFILES[profile].features : [...new Set([...gatewayFeatures, ...meshFeatures])];
  const said = [
    ...["-organization=weft", "-project=weft", `-version=${VERSION}`, "-url=https://weft.dev", "-contact=weft", "-allow-crds-mismatch"],
    // The mesh's run waits for pods that only that of the gateways makes.
    "-cleanup-base-resources=false",
    ...["-gateway-class=weft", `-supported-features=${features.join(",")}`],
    ...[`-usable-address=${USABLE}`, `-unusable-address=${UNUSABLE}`],
    ...(labels === "" ? [] : [`-namespace-labels=${labels}`]),
    ...(test === undefined ? [`-conformance-profiles=${profile}`, `-report-output=${join(FOLDER, file)}`] : [`-run-test=${test}`]),
    ...["-test.v", `-test.parallel=${AT_ONCE}`, `-test.timeout=${timeoutMinutes}m`, `-kubeconfig=${cluster.kubeconfig}`],
  ];
  progress(`Gateway API's conformance suite, ${test ?? profile}, ${timeoutMinutes} minutes at most`);
  const { code, stdout, stderr } = await cluster.run([suite, ...said], { timeoutMs: (timeoutMinutes + 1) * 60_000 });
  const output = stdout + stderr;
  const results = resultsIn(output);
  const ran = results.filter(({ state }) => state !== "skipped");
  for (const { name, state, seconds, failedParts } of ran)
    console.log(`  ${state}  ${name} (${seconds} s)${failedParts.map((part) => `\n          ${part}`).join("")}`);
  if (code !== 0) {
    const folder = await keepEvidence(cluster, `gateway-api-${profile.toLowerCase()}`);
    writeFileSync(join(folder, "suite.log"), output);
    progress(`the suite's words, objects, events and logs are kept in ${folder}`);
  }
  const isWhole = ran.length > 0 && !/^panic: /m.test(output);
  if (!isWhole) console.log(output.split("\n").slice(-20).join("\n"));
  progress(`${ran.filter(({ state }) => state === "passed").length} of ${ran.length} tests passed`);
  return isWhole ? results : undefined;
}
