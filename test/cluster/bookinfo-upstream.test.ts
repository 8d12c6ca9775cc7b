/** Upstream's Bookinfo on a cluster of this machine. */
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { missing, PODS, upstreamBookinfo, type BookinfoWorld } from "../bookinfo/upstream.ts";
import { startMeshCluster, type MeshCluster } from "./mesh-cluster.ts";

describe("upstream's Bookinfo", { skip: missing, timeout: 400_000 }, () => {
  let cluster: MeshCluster;
  before(async () => {
    cluster = await startMeshCluster(`bookinfo${process.pid}`, "examples/bookinfo/cluster.yaml");
    // As Istio's guide says: kubectl label namespace default istio-injection=enabled
    const labelled = await cluster.put("/api/v1/namespaces/default", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "default", labels: { "istio-injection": "enabled" } },
    });
    assert.equal(labelled.status, 200);
    assert.deepEqual(await cluster.apply(...PODS), []);
  });
  after(() => cluster.stop());
  upstreamBookinfo((): BookinfoWorld => ({ ...cluster, warns: true, statusFromOutside: (url) => statusFromOutside(cluster, url) }));
});

async function statusFromOutside(cluster: MeshCluster, url: string): Promise<string> {
  return (await cluster.enter("outside", "curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", url)).stdout;
}
