/** From the moment a pod is created until it is Ready: one at a time, and many at once. */
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { create, NAMESPACE, podManifest } from "./pods.ts";
import { median, type Figures } from "./figures.ts";
import { watch } from "./watch.ts";

const PATIENCE_MS = 120_000;

export async function podStart(cluster: KubernetesCluster, count: number): Promise<Figures> {
  const nodes = cluster.nodes?.names ?? [];
  const pod = (name: string, index: number): object => podManifest({ name, namespace: NAMESPACE, node: nodes[index % nodes.length] ?? "" });
  const columns = "custom-columns=NAME:.metadata.name,READY:.status.conditions[?(@.type=='Ready')].status";
  const watching = await watch(cluster, "-n", NAMESPACE, "get", "pods", "-o", columns);
  const started = async (name: string): Promise<number> =>
    (await watching.seen(new RegExp(`^${name} +True`), PATIENCE_MS)) - (await watching.seen(new RegExp(`^${name} `), PATIENCE_MS));
  try {
    const alone: number[] = [];
    for (let index = 0; index < count; index++) {
      await create(cluster, pod(`alone-${index}`, index));
      alone.push(await started(`alone-${index}`));
    }
    await removePods(cluster);
    const names = Array.from({ length: count }, (_, index) => `together-${index}`);
    await create(cluster, ...names.map(pod));
    const together = await Promise.all(names.map(started));
    const first = Math.min(...(await Promise.all(names.map((name) => watching.seen(new RegExp(`^${name} `), PATIENCE_MS)))));
    const last = Math.max(...(await Promise.all(names.map((name) => watching.seen(new RegExp(`^${name} +True`), PATIENCE_MS)))));
    return {
      "pod start, one at a time, median": { value: median(alone), unit: "ms" },
      "pod start, one at a time, slowest": { value: Math.max(...alone), unit: "ms" },
      [`pod start, ${count} at once, median`]: { value: median(together), unit: "ms" },
      [`pod start, ${count} at once, until the last is Ready`]: { value: last - first, unit: "ms" },
    };
  } finally {
    watching.stop();
    await removePods(cluster);
  }
}

async function removePods(cluster: KubernetesCluster): Promise<void> {
  await cluster.kubectl("-n", NAMESPACE, "delete", "pods", "-l", "bench=pod", "--grace-period=1", "--wait=true");
}
