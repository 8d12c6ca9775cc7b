/** Gateway API's conformance suite, for gateways and for the mesh; its report is kept as the suite wrote it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "#cli/version.ts";
import { runningKubernetes, startKubernetes } from "#tools/kubernetes/cluster.ts";
import { keepEvidence } from "#tools/kubernetes/evidence.ts";
import { setUpPeer } from "#tools/kubernetes/peer.ts";
import { installWeft } from "#tools/kubernetes/product.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { root } from "#tools/run-command.ts";

const REPORT = join(root, "docs/conformance/gateway-api.yaml");

export interface GatewayApiOptions {
  /** Name of a single test; the report is not written then. */
  readonly test?: string;
  /** Against the cluster that is up, as it is. */
  readonly isRunning: boolean;
  readonly timeoutMinutes: number;
}

/** True when the suite ran to its end, whatever its verdict: the report tells that. */
export async function gatewayApi({ test, isRunning, timeoutMinutes }: GatewayApiOptions): Promise<boolean> {
  const cluster = isRunning ? runningKubernetes("full") : await startKubernetes("full");
  try {
    const { peer } = cluster;
    if (peer === undefined) throw new Error("the suite is built by the scripts of ../shared/peers/kubernetes; KUBECONFIG must not be set");
    await setUpPeer(peer, { "gateway-api": "gateway-api.test", "echo-basic": "img/echo-v1.5.1.tar" });
    if (!isRunning) await installWeft(cluster);
    mkdirSync(join(root, "docs/conformance"), { recursive: true });
    const said = [
      ...["-organization=weft", "-project=weft", `-version=${VERSION}`, "-url=https://weft.dev", "-contact=weft"],
      ...["-gateway-class=weft", "-mesh-name=weft", "-namespace-labels=istio-injection=enabled", "-allow-crds-mismatch"],
      ...(test === undefined ? ["-conformance-profiles=GATEWAY-HTTP,MESH-HTTP", `-report-output=${REPORT}`] : [`-run-test=${test}`]),
      ...["-test.v", `-test.timeout=${timeoutMinutes}m`, `-kubeconfig=${cluster.kubeconfig}`],
    ];
    progress(`Gateway API's conformance suite, ${timeoutMinutes} minutes at most`);
    const { code, stdout, stderr } = await cluster.run([join(peer.home, "gateway-api.test"), ...said], { timeoutMs: (timeoutMinutes + 1) * 60_000 });
    const lines = (stdout + stderr).split("\n");
    for (const line of lines.filter((text) => /^\s*--- (PASS|FAIL|SKIP)/.test(text))) console.log(line);
    if (code !== 0) console.log(lines.slice(-20).join("\n"));
    if (code !== 0) progress(`objects, events and logs are kept in ${await keepEvidence(cluster, "gateway-api")}`);
    return code === 0 || !lines.some((line) => line.startsWith("panic:"));
  } finally {
    await cluster.stop();
  }
}
