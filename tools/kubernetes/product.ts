/** Weft on a cluster: installed, waited for, and removed again. */
import type { KubernetesCluster } from "./cluster.ts";
import { progress } from "./progress.ts";
import { provideWeftImage } from "./weft-image.ts";

/** On the network of the peer's nodes, where nothing else is. */
const LOAD_BALANCERS = "10.77.1.0/24";

export async function installWeft(cluster: KubernetesCluster): Promise<string> {
  const image = await provideWeftImage(cluster);
  progress(`weft install --profile ${cluster.profile} --wait`);
  const ours = cluster.peer === undefined ? [] : ["--set", `loadBalancerCIDR=${LOAD_BALANCERS}`, "--set", "gateway.allSecrets=true"];
  if (cluster.peer !== undefined) await routeLoadBalancers(cluster);
  const { code, stdout, stderr } = await cluster.weft("install", "--profile", cluster.profile, "--image", image, ...ours, "--wait");
  if (code !== 0) throw new Error(`weft install --wait ended with ${code}: ${(stderr + stdout).trim().split("\n").slice(-15).join("\n")}`);
  return stdout + stderr;
}

export async function uninstallWeft(cluster: KubernetesCluster): Promise<void> {
  progress("weft uninstall");
  const { code, stdout, stderr } = await cluster.weft("uninstall", "--wait", "--crds");
  if (code !== 0) throw new Error(`weft uninstall ended with ${code}: ${(stderr + stdout).trim().split("\n").slice(-15).join("\n")}`);
}

/** As a cloud's network would: to any node, which knows whose address it is. */
async function routeLoadBalancers(cluster: KubernetesCluster): Promise<void> {
  const node = await cluster.get("get", "nodes", "-o", 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}');
  const { code, stderr } = await cluster.run(["ip", "route", "replace", LOAD_BALANCERS, "via", node]);
  if (code !== 0) throw new Error(`no route to ${LOAD_BALANCERS} by ${node}: ${stderr.trim()}`);
}
