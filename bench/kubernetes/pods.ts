/** Pods of the benchmark, and waiting for them. */
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";

export const NAMESPACE = "bench";
/** The namespace whose pods are of the mesh. */
export const MESHED = "bench-meshed";
/** Peers have it on their nodes: it starts at once and does nothing, so that what is measured is everything else. */
const PAUSE = "localhost/pause:1";

export interface PodSpec {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  /** A script of Node in Weft's image; absent: a container that does nothing. */
  readonly script?: { readonly image: string; readonly text: string };
}

export function podManifest({ name, namespace, node, script }: PodSpec): object {
  const program = script === undefined ? { image: PAUSE } : { image: script.image, command: ["/opt/weft/bin/node", "-e", script.text] };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name, bench: "pod" } },
    spec: { nodeName: node, terminationGracePeriodSeconds: 1, containers: [{ name: "main", imagePullPolicy: "Never", ...program }] },
  };
}

export function serviceManifest(name: string, namespace: string, selector?: Readonly<Record<string, string>>): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: { ports: [{ name: "http", port: 8080, targetPort: 8080 }], ...(selector === undefined ? {} : { selector }) },
  };
}

export async function create(cluster: KubernetesCluster, ...objects: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  const { code, stderr } = await cluster.run(["kubectl", "create", "-f", "-"], { input, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`kubectl create: ${stderr.trim().split("\n").slice(0, 3).join("; ")}`);
}

export async function createNamespace(cluster: KubernetesCluster, name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
  await create(cluster, { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
  // A pod that comes before it is refused.
  for (let tries = 0; tries < 100; tries++) {
    if ((await cluster.kubectl("-n", name, "get", "serviceaccount", "default")).code === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`namespace ${name} got no service account within 10 s`);
}

export async function podsReady(cluster: KubernetesCluster, namespace: string, ...names: readonly string[]): Promise<void> {
  const pods = names.map((name) => `pod/${name}`);
  await cluster.get("-n", namespace, "wait", "--for=condition=Ready", "--timeout=90s", ...pods);
}

export async function field(cluster: KubernetesCluster, namespace: string, object: string, path: string): Promise<string> {
  return (await cluster.get("-n", namespace, "get", object, "-o", `jsonpath={${path}}`)).trim();
}
