import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeStorage } from "#host/fake/storage.ts";
import type { Node, Pod } from "#model/core.ts";
import type { KindId } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { forgetWhatRan } from "./before-anything-runs.ts";
import { Store } from "./store.ts";

const AT = Date.parse("2026-01-02T03:04:05Z");

function pod(name: string, nodeName: string | undefined, phase: "Pending" | "Running" | "Succeeded"): Pod {
  const ready = { type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" };
  const scheduled = { type: "PodScheduled", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "a" },
    spec: { containers: [], ...(nodeName === undefined ? {} : { nodeName }) },
    status: { phase, podIP: "10.244.0.9", ...(nodeName === undefined ? {} : { conditions: [scheduled, ready] }), containerStatuses: [] },
  };
}

function node(name: string): Node {
  return { apiVersion: "v1", kind: "Node", metadata: { name }, spec: {}, status: { conditions: [{ type: "Ready", status: "True" }], addresses: [] } };
}

async function startAgain(objects: readonly KubeObject[], nodes: readonly string[]): Promise<Store> {
  const store = new Store(await fakeStorage().open("log"));
  for (const object of objects) store.put(object.kind as KindId, object);
  forgetWhatRan(store, { now: () => AT }, nodes);
  return store;
}

test("nodes and pods that ran are not Ready when the cluster starts again", async () => {
  const store = await startAgain([node("node-1"), pod("ran", "node-1", "Running"), pod("waits", undefined, "Pending")], ["node-1"]);
  const ready = (store.get("Node", "node-1") as Node).status?.conditions?.[0];
  assert.deepEqual([ready?.status, ready?.reason, ready?.lastTransitionTime], ["Unknown", "NodeStatusUnknown", "2026-01-02T03:04:05Z"]);
  const { status } = store.get("Pod", "a/ran") as Pod;
  assert.equal(status?.phase, "Pending");
  assert.equal(status?.podIP, undefined);
  assert.deepEqual(
    status?.conditions?.map(({ type, status: value }) => [type, value]),
    [
      ["PodScheduled", "True"],
      ["Ready", "False"],
    ],
  );
  assert.deepEqual((store.get("Pod", "a/waits") as Pod).status, { phase: "Pending", conditions: [] });
});

test("pods that ran to their end keep their result", async () => {
  const ended = pod("ended", "node-1", "Succeeded");
  const store = await startAgain([node("node-1"), ended], ["node-1"]);
  assert.deepEqual((store.get("Pod", "a/ended") as Pod).status, ended.status);
});

test("a node that the cluster does not have any more goes, with its lease and its pods", async () => {
  const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "node-2", namespace: "kube-node-lease" } } as KubeObject;
  const store = await startAgain([node("node-1"), node("node-2"), lease, pod("there", "node-2", "Running"), pod("here", "node-1", "Running")], ["node-1"]);
  assert.deepEqual(
    [...store.all("Node")].map(({ metadata }) => metadata.name),
    ["node-1"],
  );
  assert.deepEqual([...store.all("Lease")], []);
  assert.deepEqual(
    [...store.all("Pod")].map(({ metadata }) => metadata.name),
    ["here"],
  );
});
