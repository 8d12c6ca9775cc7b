/**
 * `npm run bench:kubernetes`: Weft beside Debian's bridge plugin and kube-proxy (nftables), on the same real cluster, one after the
 * other: pod start, a new endpoint among 1,000 Services, requests between pods of two nodes (plain, and with Weft in the mesh),
 * memory, and how long it takes from `weft install --wait` to the first answer over mutual TLS. bench/kubernetes/README.md says what
 * is counted.
 *
 * Options: --pods N (10), --services N (1000), --rounds N (10) of new endpoints, --seconds N (5) a load, --only theirs|ours,
 * --measure pods,traffic,endpoints,mesh,memory (all), --json FILE.
 * A part that fails says why in the table's place; status 1 then.
 */
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { missingCluster, startKubernetes, type KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { provideWeftImage } from "#tools/kubernetes/weft-image.ts";
import { table, type Figures } from "./figures.ts";
import { firstMtls } from "./first-mtls.ts";
import { memory } from "./memory.ts";
import { newEndpoint } from "./new-endpoint.ts";
import { podStart } from "./pod-start.ts";
import { createNamespace, MESHED, NAMESPACE } from "./pods.ts";
import { traffic } from "./traffic.ts";

const { values: options } = parseArgs({
  options: {
    pods: { type: "string", default: "10" },
    services: { type: "string", default: "1000" },
    rounds: { type: "string", default: "10" },
    seconds: { type: "string", default: "5" },
    only: { type: "string" },
    measure: { type: "string", default: "pods,traffic,endpoints,mesh,memory" },
    json: { type: "string" },
  },
});

/** Of what a program said before it failed: how it began is in the first line, why in the last ones. */
const REASON_LINES = 2;
const REASON_COLUMNS = 300;

type Whose = "theirs" | "ours";

interface Part {
  /** As --measure names it; absent: the others need it. */
  readonly id?: string;
  readonly what: string;
  readonly measure: () => Promise<Figures>;
}

/** One after the other; what cannot be measured does not stop the rest. */
async function take(parts: readonly Part[]): Promise<Figures> {
  const wanted = options.measure.split(",");
  const figures: Record<string, Figures[string]> = {};
  for (const { what, measure } of parts.filter(({ id }) => id === undefined || wanted.includes(id))) {
    progress(what);
    try {
      Object.assign(figures, await measure());
    } catch (error) {
      const said = (error instanceof Error ? error.message : String(error)).trim().split("\n");
      const reason = [said[0], ...said.slice(1).slice(-REASON_LINES)].map((line) => line?.slice(0, REASON_COLUMNS)).join("\n  ");
      figures[what] = reason;
      progress(`${what}: ${reason}`);
    }
  }
  return figures;
}

function partsOf(cluster: KubernetesCluster, image: string, whose: Whose): readonly Part[] {
  const { nodes } = cluster;
  if (nodes === undefined) throw new Error("two clusters are compared, and their nodes looked at: unset KUBECONFIG, so that the peer of this machine is used");
  const [services, rounds, seconds] = [Number(options.services), Number(options.rounds), Number(options.seconds)];
  const install: Part = { what: "installation", measure: () => firstMtls(cluster, image) };
  const mesh: Part = { id: "mesh", what: "traffic in the mesh", measure: () => traffic(cluster, MESHED, { what: "with mTLS", seconds }) };
  return [
    ...(whose === "ours" ? [install] : []),
    { what: "namespace", measure: async () => (await createNamespace(cluster, NAMESPACE), {}) },
    { id: "pods", what: "pod start", measure: () => podStart(cluster, Number(options.pods)) },
    { id: "traffic", what: "traffic", measure: () => traffic(cluster, NAMESPACE, { what: "plain", seconds }) },
    ...(whose === "ours" ? [mesh] : []),
    { id: "endpoints", what: "new endpoint", measure: () => newEndpoint(cluster, { image, services, rounds }) },
    { id: "memory", what: "memory", measure: () => memory(nodes, whose) },
  ];
}

async function subject(whose: Whose): Promise<Figures> {
  if (options.only !== undefined && options.only !== whose) return {};
  const cluster = await startKubernetes(whose === "theirs" ? "mesh" : "full");
  try {
    const image = await provideWeftImage(cluster);
    return await take(partsOf(cluster, image, whose));
  } finally {
    await cluster.stop();
  }
}

async function main(): Promise<void> {
  const missing = missingCluster();
  if (missing !== undefined) {
    console.log(`nothing is measured: ${missing}`);
    process.exitCode = 1;
    return;
  }
  const theirs = await subject("theirs");
  const ours = await subject("ours");
  console.log(`${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}\n\n${table(theirs, ours)}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ theirs, ours }, undefined, 2)}\n`);
  if ([theirs, ours].some((figures) => Object.values(figures).some((figure) => typeof figure === "string"))) process.exitCode = 1;
}

await main();
