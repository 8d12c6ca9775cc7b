/** Bookinfo on a cluster of Kubernetes, as the demo's checks see it. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { addressAcross, seenOf } from "#tools/demo/seen.ts";
import { captureOf } from "#tools/demo/underlay.ts";
import type { Capture, World } from "#tools/demo/world.ts";
import { root } from "#tools/run-command.ts";
import type { Node, Pod, Service } from "#model/core.ts";
import type { KubernetesCluster } from "./cluster.ts";
import { exampleImages, imagesIn } from "./example-images.ts";
import { progress } from "./progress.ts";

const EXAMPLE = "examples/bookinfo";
/** Of pods of a busy machine. */
const READY_WITHIN = "180s";

/** Gives the nodes an image for each that these manifests name. WEFT_TEST_IMAGES_PUSHED tells that a cluster without node access can pull them. */
export async function provideImages(cluster: KubernetesCluster, manifests: readonly string[], config = join(EXAMPLE, "cluster.yaml")): Promise<void> {
  if (cluster.nodes === undefined) {
    if (process.env["WEFT_TEST_IMAGES_PUSHED"] !== undefined) return;
    throw new Error(
      "the images of Bookinfo cannot be put on this cluster's nodes: push images of these names where it pulls from, and set WEFT_TEST_IMAGES_PUSHED",
    );
  }
  const names = manifests.flatMap(imagesIn);
  progress(`making ${names.length} images for ${config}, and giving them to both nodes`);
  const archive = join(mkdtempSync(join(tmpdir(), "weft-images-")), "images.tar");
  writeFileSync(archive, await exampleImages(config, names));
  await cluster.nodes.importImages(archive);
}

/** In the order in which they can be applied: namespaces first. */
export function exampleManifests(): readonly string[] {
  const files = readdirSync(join(root, EXAMPLE)).filter((file) => file.endsWith(".yaml") && file !== "cluster.yaml");
  return ["namespace.yaml", ...files.filter((file) => file !== "namespace.yaml")].map((file) => readFileSync(join(root, EXAMPLE, file), "utf8"));
}

export async function applyExample(cluster: KubernetesCluster): Promise<void> {
  const manifests = exampleManifests();
  await provideImages(cluster, manifests);
  progress("applying Bookinfo");
  for (const manifest of manifests) await cluster.apply(manifest);
  await podsReady(cluster, "default", "visitors", "istio-system");
}

/** All but the namespace that was there before. */
export async function removeExample(cluster: KubernetesCluster): Promise<void> {
  for (const manifest of exampleManifests()) {
    if (!manifest.includes("name: default\n")) await cluster.run(["kubectl", "delete", "--ignore-not-found", "-f", "-"], { input: manifest });
  }
}

export async function podsReady(cluster: KubernetesCluster, ...namespaces: readonly string[]): Promise<void> {
  for (const namespace of namespaces) {
    progress(`waiting for the pods of ${namespace}`);
    for (const deployment of (await cluster.get("-n", namespace, "get", "deployments", "-o", "name")).split("\n").filter((line) => line !== "")) {
      await cluster.get("-n", namespace, "rollout", "status", deployment, `--timeout=${READY_WITHIN}`);
    }
  }
}

export async function openWorld(cluster: KubernetesCluster): Promise<World> {
  const list = async <T>(kind: string): Promise<readonly T[]> =>
    (JSON.parse(await cluster.get("get", kind, "-A", "-o", "json")) as { items: readonly T[] }).items;
  const file = (name: string): string => readFileSync(join(root, "examples/demo", name), "utf8");
  return {
    isNetworkOurs: cluster.profile === "full",
    gateway: `http://${await gatewayOf(cluster)}`,
    look: async () => seenOf(await list<Node>("nodes"), await list<Pod>("pods")),
    apply: (name) => cluster.apply(file(name)),
    remove: async (name) => void (await cluster.get("delete", "--ignore-not-found", "-f", join(root, "examples/demo", name))),
    addressAcross: async () => addressAcross(await list<Pod>("pods")),
    inside: (deployment, ...command) => {
      const [name = "", namespace = "default"] = deployment.split("/").reverse();
      return cluster.kubectl("-n", namespace, "exec", `deploy/${name}`, "--", ...command);
    },
    weft: (...command) => cluster.weft(...command),
    typed: (...command) => ["weft", ...command].join(" "),
  };
}

/** By its address for the world outside when it has one, else by its port on a node. */
async function gatewayOf(cluster: KubernetesCluster): Promise<string> {
  const service = JSON.parse(await cluster.get("-n", "istio-system", "get", "service", "istio-ingressgateway", "-o", "json")) as Service;
  const port = service.spec?.ports?.find(({ port: number }) => number === 80);
  const address = service.status?.loadBalancer?.ingress?.[0]?.ip;
  if (cluster.peer === undefined && address !== undefined) return cluster.reach(address, 80);
  if (port?.nodePort === undefined) throw new Error("Service istio-system/istio-ingressgateway has no node port for port 80: there is no way in");
  const node = await cluster.get("get", "nodes", "-o", 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}');
  return cluster.reach(node, port.nodePort);
}

/** Of the network between the nodes; undefined: they cannot be reached. */
export function captureNodes(cluster: KubernetesCluster): Capture | undefined {
  const { nodes } = cluster;
  if (nodes === undefined) return undefined;
  const program = fileURLToPath(new URL("../demo/capture.ts", import.meta.url));
  return captureOf(
    nodes.names.map((node) => {
      const [first, ...words] = nodes.prefix(node);
      return spawn(first, [...words, process.execPath, program, UPLINK], { stdio: ["pipe", "pipe", "ignore"] });
    }),
  );
}

/** Of the peer's nodes. */
const UPLINK = "eth0";
