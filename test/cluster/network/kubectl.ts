/** kubectl in one namespace of a test's cluster. */
import { kubectlOf } from "../kubectl.ts";
import type { MeshCluster } from "../mesh-cluster.ts";

export interface NamespaceKubectl {
  /** Standard output; rejects with what kubectl said when it failed. */
  run(...args: readonly string[]): Promise<string>;
  /** Whatever comes of it. */
  attempt(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
}

export async function startKubectl(cluster: MeshCluster, namespace: string): Promise<NamespaceKubectl> {
  const kubectl = kubectlOf(cluster.user, (await cluster.weft("kubeconfig")).stdout.trim());
  const attempt: NamespaceKubectl["attempt"] = async (...args) => {
    const { code, out, err } = await kubectl(["--namespace", namespace, ...args]);
    return { code, stdout: out, stderr: err };
  };
  return {
    attempt,
    async run(...args) {
      const { code, stdout, stderr } = await attempt(...args);
      if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: status ${code}: ${stderr}${stdout}`);
      return stdout;
    },
  };
}
