import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Pod } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import { deployments } from "./deployment/deployments.ts";
import { endpointSlices } from "./endpoints/endpoint-slices.ts";
import { loadBalancers } from "./endpoints/load-balancers.ts";
import { rootCertificates } from "./namespaces.ts";
import { nodeLifecycle } from "./node/node-lifecycle.ts";
import { podGarbage } from "./node/pod-garbage.ts";
import { scheduler } from "./node/scheduler.ts";
import { isReady } from "./pod-facts.ts";
import { replicaSets } from "./replica-set/replica-sets.ts";
import { TestCluster } from "./test-cluster.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster([
    deployments,
    replicaSets,
    scheduler,
    endpointSlices,
    loadBalancers("192.0.2.8/30"),
    rootCertificates("PEM"),
    nodeLifecycle,
    podGarbage,
  ]);
});
afterEach(() => cluster.stop());

const pods = (): readonly Pod[] => cluster.world.all("Pod");

function addNode(name: string, status = "True"): void {
  const conditions = [{ type: "Ready", status, lastHeartbeatTime: new Date().toISOString() }];
  cluster.put("Node", { metadata: { name }, status: { conditions } });
}

function deploy(image: string, replicas: number): void {
  const spec = {
    replicas,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image }] } },
  };
  const before = cluster.world.get("Deployment", "default/web");
  const generation = (before?.metadata.generation ?? 0) + 1;
  cluster.put("Deployment", { ...before, metadata: { ...before?.metadata, name: "web", namespace: "default", generation }, spec } as never);
}

/** What a node does with its pods. */
function runPods(): void {
  for (const [index, pod] of pods().entries()) {
    if ((pod.spec.nodeName ?? "") === "" || isReady(pod)) continue;
    const conditions = [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }];
    cluster.put("Pod", { ...pod, status: { phase: "Running", podIP: `10.0.0.${index + 1}`, conditions } });
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1);
const images = (): string[] => pods().map((pod) => pod.spec.containers[0]?.image ?? "");

describe("controllers", () => {
  it("make a Deployment pods on all nodes, its Service endpoints, and roll out a change without fewer pods ready", async () => {
    addNode("node-1");
    addNode("node-2");
    cluster.put("Service", { metadata: { name: "web", namespace: "default" }, spec: { selector: { app: "web" }, ports: [{ port: 80 }] } });
    deploy("v1", 4);
    await cluster.until(() => pods().length === 4 && pods().every((pod) => pod.spec.nodeName !== undefined));
    assert.deepEqual(
      pods()
        .map((pod) => pod.spec.nodeName ?? "")
        .sort(byText),
      ["node-1", "node-1", "node-2", "node-2"],
    );
    runPods();
    const status = () => cluster.world.get("Deployment", "default/web")?.status;
    await cluster.until(() => status()?.availableReplicas === 4);
    assert.equal(status()?.conditions?.find((condition) => condition.type === "Progressing")?.reason, "NewReplicaSetAvailable");
    await cluster.until(() => cluster.world.all("EndpointSlice")[0]?.endpoints.length === 4);

    deploy("v2", 4);
    await cluster.until(() => {
      runPods();
      assert.ok(pods().filter(isReady).length >= 3, "25% of 4 may be missing");
      assert.ok(pods().length <= 5, "25% of 4 may be too many");
      return images().length === 4 && images().every((image) => image === "v2") && status()?.updatedReplicas === 4 && status()?.availableReplicas === 4;
    });
    assert.deepEqual(
      cluster.world
        .all("ReplicaSet")
        .map((set) => `revision ${set.metadata.annotations?.["deployment.kubernetes.io/revision"] ?? ""}: ${set.spec.replicas ?? ""}`)
        .sort(byText),
      ["revision 1: 0", "revision 2: 4"],
    );
    deploy("v2", 1);
    await cluster.until(() => pods().length === 1);
  });

  it("replace a pod that goes", async () => {
    addNode("node-1");
    deploy("v1", 2);
    await cluster.until(() => pods().length === 2);
    const [first] = pods();
    assert.ok(first);
    cluster.delete("Pod", objectKey(first));
    await cluster.until(() => pods().length === 2);
    assert.ok(!pods().some((pod) => pod.metadata.name === first.metadata.name));
  });

  it("say why a pod has no node, and place it when one comes", async () => {
    deploy("v1", 1);
    await cluster.until(() => pods()[0]?.status?.conditions?.[0]?.message === "0/0 nodes are available.");
    addNode("node-1", "False");
    await cluster.until(() => pods()[0]?.status?.conditions?.[0]?.message === "0/1 nodes are available: 1 node(s) were not ready.");
    addNode("node-1");
    await cluster.until(() => pods()[0]?.spec.nodeName === "node-1");
  });

  it("take a silent node and its pods out of service", async () => {
    addNode("node-1");
    deploy("v1", 1);
    await cluster.until(() => pods()[0]?.spec.nodeName === "node-1");
    runPods();
    const node = cluster.world.get("Node", "node-1");
    cluster.put("Node", {
      metadata: { name: "node-1" },
      status: { conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: "2026-01-01T00:00:00Z" }] },
    });
    await cluster.until(() => cluster.world.get("Node", "node-1")?.status?.conditions?.[0]?.status === "Unknown");
    await cluster.until(() => pods().every((pod) => !isReady(pod)));
    assert.ok(node);
  });

  it("remove pods of nodes that are gone", async () => {
    addNode("node-1");
    cluster.put("Pod", { metadata: { name: "a", namespace: "default" }, spec: { nodeName: "node-9", containers: [{ name: "a" }] } });
    addNode("node-2");
    await cluster.until(() => pods().length === 0);
  });

  it("give LoadBalancers addresses of their own, free them, and say when there are none left", async () => {
    const service = (name: string, type: "LoadBalancer" | "ClusterIP" = "LoadBalancer"): void =>
      cluster.put("Service", { ...cluster.world.get("Service", `default/${name}`), metadata: { name, namespace: "default" }, spec: { type } });
    const addresses = () => cluster.world.all("Service").map((each) => each.status?.loadBalancer?.ingress?.[0]?.ip);
    for (const name of ["a", "b", "c", "d"]) service(name);
    await cluster.until(() => cluster.events.some((event) => event.includes("Service default/d AllocationFailed: all 3 addresses of 192.0.2.8/30 are in use")));
    assert.deepEqual(addresses(), ["192.0.2.8", "192.0.2.9", "192.0.2.10", undefined]);
    service("b", "ClusterIP");
    await cluster.until(() => addresses()[3] === "192.0.2.9");
    assert.equal(addresses()[1], undefined);
  });

  it("give every namespace the certificate of the API server", async () => {
    cluster.put("Namespace", { metadata: { name: "default" } });
    await cluster.until(() => cluster.world.get("ConfigMap", "default/kube-root-ca.crt")?.data?.["ca.crt"] === "PEM");
    cluster.put("ConfigMap", { metadata: { name: "kube-root-ca.crt", namespace: "default" }, data: { "ca.crt": "other" } });
    await cluster.until(() => cluster.world.get("ConfigMap", "default/kube-root-ca.crt")?.data?.["ca.crt"] === "PEM");
  });
});
