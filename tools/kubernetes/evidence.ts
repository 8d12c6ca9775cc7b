/** What remains of a cluster in which something failed: objects, events and logs, in a folder that the message names. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "#tools/run-command.ts";
import type { KubernetesCluster } from "./cluster.ts";

/** Of every container that has ended or runs in these namespaces. */
const NAMESPACES = ["weft-system", "istio-system", "default"];

export async function keepEvidence(cluster: KubernetesCluster, what: string): Promise<string> {
  const folder = join(root, "dist/kubernetes", `${what}-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`);
  mkdirSync(folder, { recursive: true });
  const keep = async (file: string, ...args: readonly string[]): Promise<void> => {
    const { stdout, stderr } = await cluster.kubectl(...args);
    writeFileSync(join(folder, file), stdout + stderr);
  };
  await keep("objects.txt", "get", "all,nodes,leases,endpointslices,gateways,networkpolicies", "-A", "-o", "wide");
  await keep("events.txt", "get", "events", "-A", "--sort-by=.lastTimestamp");
  await keep("pods.yaml", "get", "pods", "-A", "-o", "yaml");
  for (const namespace of NAMESPACES) {
    const { stdout } = await cluster.kubectl("-n", namespace, "get", "pods", "-o", "name");
    for (const pod of stdout.split("\n").filter((line) => line !== "")) {
      const name = `${namespace}-${pod.replace("pod/", "")}`;
      await keep(`${name}.log`, "-n", namespace, "logs", pod, "--all-containers", "--prefix", "--tail=-1");
      await keep(`${name}.previous.log`, "-n", namespace, "logs", pod, "--all-containers", "--prefix", "--previous");
    }
  }
  for (const node of cluster.nodes?.names ?? []) {
    const rules = await cluster.nodes?.run(
      node,
      "sh",
      "-c",
      "ip -d address; ip route show table all; ip rule; nft list ruleset; ls -la /etc/cni/net.d /opt/cni/bin /run/weft /run/netns",
    );
    writeFileSync(join(folder, `${node}.txt`), `${rules?.stdout ?? ""}${rules?.stderr ?? ""}`);
    if (cluster.peer === undefined) continue;
    const log = await cluster.nodes?.run(node, "tail", "-n", "400", join(cluster.peer.home, `nodes/${node}/kubelet.log`));
    writeFileSync(join(folder, `${node}-kubelet.log`), log?.stdout ?? "");
  }
  return folder;
}
