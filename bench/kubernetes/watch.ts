/** What the API server tells, with the moment at which it does: creation times have whole seconds only. */
import { spawn, type ChildProcess } from "node:child_process";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { controlNetns } from "#tools/kubernetes/peer.ts";

export interface Watch {
  /** Date.now() of the first line that matches; waits for it. */
  seen(line: RegExp, withinMs: number): Promise<number>;
  stop(): void;
}

/** `kubectl get -w`, a line an event. */
export async function watch(cluster: KubernetesCluster, ...args: readonly string[]): Promise<Watch> {
  const inside = cluster.peer === undefined ? [] : ["nsenter", `--net=${controlNetns(cluster.peer)}`];
  const [program, ...rest] = [...inside, "kubectl", ...args, "--watch", "--no-headers"];
  const child: ChildProcess = spawn(program ?? "kubectl", rest, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, KUBECONFIG: cluster.kubeconfig } });
  const lines: { readonly text: string; readonly at: number }[] = [];
  const waiting = new Set<() => void>();
  let unfinished = "";
  let errors = "";
  child.stderr?.on("data", (bytes: Buffer) => (errors = (errors + bytes.toString()).slice(-1000)));
  child.stdout?.on("data", (bytes: Buffer) => {
    const at = Date.now();
    const parts = (unfinished + bytes.toString()).split("\n");
    unfinished = parts.pop() ?? "";
    for (const text of parts) lines.push({ text, at });
    for (const look of waiting) look();
  });
  // What exists is listed first; nothing says when that is over.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return {
    seen: (pattern, withinMs) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`kubectl ${args.join(" ")} --watch showed nothing like ${pattern.source} within ${withinMs / 1000} s ${errors}`));
        }, withinMs);
        const look = (): void => {
          const found = lines.find(({ text }) => pattern.test(text));
          if (found === undefined) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found.at);
        };
        waiting.add(look);
        look();
      }),
    stop: () => void child.kill("SIGKILL"),
  };
}
