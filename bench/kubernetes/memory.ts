/** What the programs keep in memory once they have carried all of the above: the median process of each kind, proportional set size. */
import type { NodeAccess } from "#tools/kubernetes/cluster.ts";
import type { Figures } from "./figures.ts";
import { memoryMiB, processesOf } from "./node-processes.ts";

const THEIRS = { "memory of kube-proxy | agent": /\bkube-proxy\b/ };
const OURS = { "memory of kube-proxy | agent": /\bweft agent\b/, "memory of the control plane": /\bweft control\b/, "memory of a proxy": /\/sidecar\.mjs/ };

export async function memory(nodes: NodeAccess, whose: "theirs" | "ours"): Promise<Figures> {
  const processes = (await Promise.all(nodes.names.map((node) => processesOf(nodes, node)))).flat();
  const figures = Object.entries(whose === "ours" ? OURS : THEIRS).map(async ([name, pattern]) => {
    const found = processes.filter(({ command }) => pattern.test(command));
    if (found.length === 0) return [name, "there is no such process on the nodes"] as const;
    return [name, { value: await memoryMiB(nodes, found), unit: "MiB" as const }] as const;
  });
  return Object.fromEntries(await Promise.all(figures));
}
