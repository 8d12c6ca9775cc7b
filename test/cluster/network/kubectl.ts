/** kubectl against a test's cluster. */
import { spawn } from "node:child_process";
import { findProgram } from "#tools/peers.ts";
import type { MeshCluster } from "../mesh-cluster.ts";

export interface Kubectl {
  /** Standard output; rejects with what kubectl said when it failed. */
  run(...args: readonly string[]): Promise<string>;
  /** Whatever comes of it. */
  attempt(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
}

/** Why tests that need kubectl cannot run; false when they can. */
export const kubectlMissing: string | false =
  findProgram("kubectl") === undefined ? "NOT RUN: kubectl is not installed; https://kubernetes.io/docs/tasks/tools/ says how" : false;

export async function startKubectl(cluster: MeshCluster, namespace: string): Promise<Kubectl> {
  const kubeconfig = (await cluster.weft("kubeconfig")).stdout.trim();
  const attempt: Kubectl["attempt"] = (...args) =>
    new Promise((resolve, reject) => {
      const child = spawn("kubectl", ["--kubeconfig", kubeconfig, "--namespace", namespace, ...args], { stdio: ["ignore", "pipe", "pipe"] });
      const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on("data", (bytes: Buffer) => void stdout.push(bytes));
      child.stderr.on("data", (bytes: Buffer) => void stderr.push(bytes));
      child.on("error", reject);
      child.on("close", (code) => resolve({ code: code ?? 128, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }));
    });
  return {
    attempt,
    async run(...args) {
      const { code, stdout, stderr } = await attempt(...args);
      if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: status ${code}: ${stderr}${stdout}`);
      return stdout;
    },
  };
}
