/**
 * From `weft install --wait` on a cluster without a network, whose nodes have the image, until one pod of the mesh has an answer
 * from another that accepts mutual TLS only.
 */
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import type { Figures } from "./figures.ts";
import { create, createNamespace, MESHED, podManifest, serviceManifest } from "./pods.ts";

const PATIENCE_MS = 120_000;
const SERVER = 'require("node:http").createServer((_, answer) => answer.end("served")).listen(8080)';
const CLIENT = `const ask = () => fetch("http://first-server:8080/").then((answer) => answer.text()).then(
  (text) => { if (text !== "served") throw new Error(text); console.log("answered " + Date.now()); setInterval(() => {}, 1 << 30); },
).catch(() => setTimeout(ask, 20));
ask();`;

export async function firstMtls(cluster: KubernetesCluster, image: string): Promise<Figures> {
  const started = Date.now();
  const { code, stdout, stderr } = await cluster.weft("install", "--profile", cluster.profile, "--image", image, "--wait");
  if (code !== 0) throw new Error(`weft install --wait ended with ${code}: ${stdout}${stderr}`);
  const installed = Date.now();
  const [near = "", far = ""] = cluster.nodes?.names ?? [];
  await createNamespace(cluster, MESHED, { "istio-injection": "enabled" });
  await create(
    cluster,
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "default", namespace: MESHED },
      spec: { mtls: { mode: "STRICT" } },
    },
    podManifest({ name: "first-server", namespace: MESHED, node: far, script: { image, text: SERVER } }),
    serviceManifest("first-server", MESHED, { app: "first-server" }),
    podManifest({ name: "first-client", namespace: MESHED, node: near, script: { image, text: CLIENT } }),
  );
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await new Promise((resolve) => setTimeout(resolve, 500))) {
    const { stdout } = await cluster.kubectl("-n", MESHED, "logs", "first-client", "-c", "main");
    const answered = /answered (\d+)/.exec(stdout)?.[1];
    if (answered === undefined) continue;
    return {
      "weft install --wait": { value: (installed - started) / 1000, unit: "s" },
      "from its start to the first mTLS answer": { value: (Number(answered) - started) / 1000, unit: "s" },
    };
  }
  const pods = await cluster.kubectl("-n", MESHED, "get", "pods", "-o", "wide");
  throw new Error(`no answer over mutual TLS within ${PATIENCE_MS / 1000} s:\n${pods.stdout}${pods.stderr}`);
}
