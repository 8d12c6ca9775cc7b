/** Kubernetes on this machine comes without a name server; behind another network, names are not Weft's to serve. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "#tools/run-command.ts";
import type { KubernetesCluster } from "./cluster.ts";
import { podsReady, provideImages } from "./demo-world.ts";

const FOLDER = "tools/kubernetes/names";

export async function serveNames(cluster: KubernetesCluster): Promise<void> {
  if (cluster.peer === undefined || cluster.profile === "full") return;
  const manifest = readFileSync(join(root, FOLDER, "name-server.yaml"), "utf8");
  await provideImages(cluster, [manifest], join(FOLDER, "images.yaml"));
  await cluster.apply(manifest);
  await podsReady(cluster, "kube-system");
}
