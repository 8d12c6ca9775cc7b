/** Processes of a node, as they are seen in its own namespaces: what they are, of which pod, and what they cost. */
import type { NodeAccess } from "#tools/kubernetes/cluster.ts";

export interface NodeProcess {
  readonly node: string;
  readonly pid: number;
  /** Words, parted by spaces. */
  readonly command: string;
  /** metadata.uid of its pod; "" when it is of none. */
  readonly podUid: string;
}

const LIST = `for p in /proc/[0-9]*; do
  c=$(tr '\\0' ' ' <$p/cmdline 2>/dev/null) || continue
  [ -n "$c" ] || continue
  u=$(sed -n 's#.*/pod\\([0-9a-f-]\\{36\\}\\).*#\\1#p' $p/cgroup 2>/dev/null | head -n 1)
  printf '%s\\t%s\\t%s\\n' "\${p#/proc/}" "$u" "$c"
done`;

export async function processesOf(nodes: NodeAccess, node: string): Promise<readonly NodeProcess[]> {
  const { stdout } = await nodes.run(node, "sh", "-c", LIST);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [pid = "", podUid = "", command = ""] = line.split("\t");
      return { node, pid: Number(pid), podUid, command };
    });
}

/** Of all its threads, so far; interrupts that it was charged with included. */
export async function cpuNanoseconds(nodes: NodeAccess, processes: readonly NodeProcess[]): Promise<number> {
  const sums = await Promise.all(
    groups(processes).map(async ([node, pids]) => {
      const files = pids.map((pid) => `/proc/${pid}/task/*/schedstat`).join(" ");
      const { stdout } = await nodes.run(node, "sh", "-c", `awk '{ sum += $1 } END { printf "%.0f", sum }' ${files}`);
      return Number(stdout);
    }),
  );
  return sums.reduce((sum, each) => sum + each, 0);
}

/** Resident, with shared pages parted among those that share them; the median process. */
export async function memoryMiB(nodes: NodeAccess, processes: readonly NodeProcess[]): Promise<number> {
  const sizes = await Promise.all(
    processes.map(async ({ node, pid }) => {
      const { stdout } = await nodes.run(node, "sed", "-n", "s/^Pss: *\\([0-9]*\\) kB/\\1/p", `/proc/${pid}/smaps_rollup`);
      return Number(stdout) / 1024;
    }),
  );
  return sizes.toSorted((a, b) => a - b)[Math.floor(sizes.length / 2)] ?? Number.NaN;
}

function groups(processes: readonly NodeProcess[]): readonly (readonly [string, readonly number[]])[] {
  const byNode = new Map<string, number[]>();
  for (const { node, pid } of processes) byNode.set(node, [...(byNode.get(node) ?? []), pid]);
  return [...byNode];
}
