/** Makes what a cluster starts with, and nodes that agree with this start. */
import { isConflict } from "#client/api-error.ts";
import type { ApiClient } from "#client/client.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { firstNode, firstNodeStatus, firstObjects } from "#compile/cluster/first-objects.ts";

export async function ensureFirstObjects(api: ApiClient, config: Pick<RuntimeConfig, "dnsAddress" | "nodes">): Promise<void> {
  const nodes = Promise.all(config.nodes.map((node) => ensureNode(api, node)));
  const [namespace, ...objects] = firstObjects(config);
  if (namespace !== undefined) await ensure(api, namespace.kind, namespace.object);
  await Promise.all(objects.map(({ kind, object }) => ensure(api, kind, object)));
  await nodes;
  const { items } = await api.list("Node");
  const gone = items.filter((node) => !config.nodes.some((wanted) => wanted.name === node.metadata.name));
  await Promise.all(gone.map((node) => api.delete("Node", { name: node.metadata.name })));
}

async function ensure<K extends KindId>(api: ApiClient, kind: K, object: Kinds[K]): Promise<void> {
  const { name, namespace } = object.metadata;
  if ((await api.find(kind, name, namespace)) !== undefined) return;
  try {
    await api.create(kind, object);
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

async function ensureNode(api: ApiClient, node: RuntimeConfig["nodes"][number]): Promise<void> {
  const wanted = firstNode(node);
  await ensure(api, "Node", wanted);
  const { labels } = wanted.metadata;
  await api.patch("Node", { name: node.name }, { metadata: { labels }, spec: wanted.spec });
  await api.patch("Node", { name: node.name }, { status: firstNodeStatus(node) }, { subresource: "status", type: "strategic" });
}
