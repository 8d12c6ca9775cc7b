import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { workload } from "#compile/mesh/workload.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { imagineWorld } from "./imagine.ts";

function object(apiVersion: string, kind: string, name: string, rest: object): KubeObject {
  return { apiVersion, kind, metadata: { name, namespace: "shop" }, ...rest };
}

const template = {
  metadata: { labels: { app: "api" } },
  spec: { containers: [{ name: "app", image: "app", ports: [{ name: "http", containerPort: 8080 }] }] },
};
const deployment = object("apps/v1", "Deployment", "api", { spec: { replicas: 3, selector: { matchLabels: { app: "api" } }, template } });
const lonePod = object("v1", "Pod", "one", { spec: { containers: [{ name: "app" }], nodeName: "node-2" } });
const service = (name: string, spec: object, rest: object = {}): KubeObject =>
  object("v1", "Service", name, { spec: { selector: { app: "api" }, ...spec }, ...rest });
const meshed: KubeObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels: { "istio-injection": "enabled" } } };

describe("a World of manifests", () => {
  const world = imagineWorld([meshed, deployment, lonePod, service("api", { ports: [{ port: 80, targetPort: "http" }] })]);
  const pods = [...(world.Pod?.values() ?? [])].filter(({ metadata }) => metadata.namespace === "shop");

  it("has the pods of Deployments, with proxies, spread over nodes, each with its own address", () => {
    assert.equal(pods.length, 4);
    assert.ok(pods.every((pod) => workload(pod).proxy === "sidecar"));
    assert.deepEqual(new Set(pods.map(({ spec }) => spec.nodeName)), new Set(["node-1", "node-2"]));
    assert.equal(new Set(pods.map(({ status }) => status?.podIP)).size, 4);
  });

  it("keeps a Pod on the node that it names", () => {
    const pod = world.Pod?.get("shop/one");
    assert.equal(pod?.spec.nodeName, "node-2");
    assert.match(pod?.status?.podIP ?? "", /^10\.244\.1\./);
  });

  it("has endpoints for Services, ports found by name", () => {
    const slice = [...(world.EndpointSlice?.values() ?? [])].find(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === "api");
    assert.equal(slice?.endpoints.length, 3);
    assert.equal(slice?.ports?.[0]?.port, 8080);
  });

  it("is the same whatever the order of the manifests", () => {
    const manifests = [meshed, deployment, lonePod, service("a", { ports: [] }), service("b", { ports: [] })];
    const one = imagineWorld(manifests);
    const other = imagineWorld(manifests.toReversed());
    const all = ({ Pod, Service }: typeof one) =>
      [...(Pod?.values() ?? []), ...(Service?.values() ?? [])].sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1));
    assert.deepEqual(all(one), all(other));
  });

  it("gives a LoadBalancer an address, also when its status is empty, and leaves it the one it has", () => {
    const ingress = [{ ip: "192.168.99.240" }];
    const balancers = imagineWorld([
      service("a", { type: "LoadBalancer", ports: [] }, { status: { loadBalancer: {} } }),
      service("b", { type: "LoadBalancer", ports: [] }, { status: { loadBalancer: { ingress } } }),
    ]);
    const addressOf = (key: string) => balancers.Service?.get(key)?.status?.loadBalancer?.ingress?.[0]?.ip;
    assert.equal(addressOf("shop/b"), "192.168.99.240");
    assert.match(addressOf("shop/a") ?? "", /^192\.168\.99\.24[1-9]$/);
  });

  it("has the gateway that a cluster begins with, by the identity that it has there", () => {
    const gateway = [...(world.Pod?.values() ?? [])].find(({ metadata }) => metadata.namespace === "istio-system");
    assert.ok(gateway !== undefined);
    assert.equal(workload(gateway).proxy, "gateway");
    assert.equal(workload(gateway).spiffeId, "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account");
  });
});
