import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KindId, Kinds } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { keptOnNode } from "./kept.ts";
import { NodeCompiler } from "./node-compiler.ts";
import { DEFAULT_SETTINGS } from "./settings.ts";
import { planOfKept } from "./test-kept.ts";

const metadata = (name: string, more: object = {}) => ({
  name,
  namespace: "shop",
  uid: `uid-${name}`,
  resourceVersion: "7",
  creationTimestamp: "2026-11-22T00:00:00Z",
  ownerReferences: [{ apiVersion: "v1", kind: "X", name: "x", uid: "x" }],
  annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
  ...more,
});
const kube = <K extends KindId>(kind: K, rest: object): Kinds[K] => ({ apiVersion: "v1", kind, ...rest }) as unknown as Kinds[K];
const node = (name: string, heartbeat: string) =>
  kube("Node", {
    metadata: metadata(name, { labels: { "topology.kubernetes.io/zone": "z1", other: "x" } }),
    spec: { podCIDR: `10.244.${name.length}.0/24`, taints: [] },
    status: {
      addresses: [{ type: "InternalIP", address: "192.168.99.10" }],
      capacity: { cpu: "2" },
      conditions: [
        { type: "Ready", status: "True", lastHeartbeatTime: heartbeat },
        { type: "NetworkUnavailable", status: "False", lastHeartbeatTime: heartbeat },
      ],
      images: [{ names: ["x"], sizeBytes: 1 }],
    },
  });
const proxy = {
  name: "istio-proxy",
  image: "weft",
  restartPolicy: "Always",
  env: [{ name: "WEFT_PROXY_KIND", value: "sidecar" }],
  ports: [{ containerPort: 15090 }],
};
const app = { name: "app", image: "app", env: [{ name: "A", value: "b" }], ports: [{ name: "http", containerPort: 80, hostPort: 8080 }], resources: {} };
const pod = (name: string, on: string, more: object = {}) =>
  kube("Pod", {
    metadata: metadata(name, { labels: { app: "a" }, annotations: { "traffic.sidecar.istio.io/excludeInboundPorts": "9" } }),
    spec: { nodeName: on, serviceAccountName: "sa", containers: [app], initContainers: [proxy], volumes: [{ name: "v" }], tolerations: [] },
    status: {
      phase: "Running",
      podIP: "10.244.6.5",
      podIPs: [{ ip: "10.244.6.5" }],
      conditions: [{ type: "Ready", status: "True" }],
      containerStatuses: [{ name: "app", containerID: "containerd://1" }],
      ...more,
    },
  });
const policy = kube("NetworkPolicy", {
  metadata: metadata("named"),
  spec: { podSelector: { matchLabels: { app: "a" } }, ingress: [{ ports: [{ port: "http" }], from: [{ namespaceSelector: { matchLabels: { team: "t" } } }] }] },
});
const question = { node: "node-1", settings: DEFAULT_SETTINGS };
const world = {
  Node: new Map([["node-1", node("node-1", "0")]]),
  Namespace: new Map([["shop", kube("Namespace", { metadata: { name: "shop", labels: { team: "t" } }, status: { phase: "Active" } })]]),
  Pod: new Map([
    ["shop/own", pod("own", "node-1")],
    ["shop/far", pod("far", "node-2", { podIP: "10.244.7.5" })],
  ]),
  NetworkPolicy: new Map([["shop/named", policy]]),
};

describe("what an agent keeps of the cluster's objects", () => {
  test("decides the same: named ports, ports of the node, labels of namespaces, interception", () => {
    const plan = planOfKept(world, question);
    assert.ok(plan.balanced.some(({ port }) => port === 8080));
    assert.ok(plan.pods.some(({ inside }) => inside.tables.length > 0));
    assert.match(JSON.stringify(plan.tables), /10\.244\.7\.5/);
  });

  test("of its own pods: whose proxy it is, and in which containers they are; of others neither", () => {
    const keep = keptOnNode("node-1").Pod;
    const kept = (name: string) => keep?.(world.Pod.get(name) ?? pod("none", ""));
    const own = kept("shop/own");
    assert.equal(own?.spec.serviceAccountName, "sa");
    assert.deepEqual(own?.spec.initContainers?.[0]?.env, proxy.env);
    assert.equal(own?.status?.containerStatuses?.[0]?.containerID, "containerd://1");
    assert.equal(JSON.stringify(own).includes("volumes"), false);
    const far = JSON.stringify(kept("shop/far"));
    for (const field of ["env", "annotations", "volumes", "conditions", "image"]) assert.equal(far.includes(`"${field}"`), false, field);
  });

  test("is no other for what happens all the time: heartbeats, conditions, who wrote what", () => {
    const keep = keptOnNode("node-1");
    const compiler = new NodeCompiler(question);
    const tell = <K extends KindId>(kind: K, object: Kinds[K]): boolean => {
      const kept: KubeObject = keep[kind]?.(object) ?? object;
      return compiler.apply({ kind, key: objectKey(kept), object: kept });
    };
    tell("Node", node("node-1", "0"));
    tell("Pod", pod("far", "node-2"));
    const plan = compiler.plan();
    assert.equal(tell("Node", node("node-1", "1")), false);
    assert.equal(tell("Pod", pod("far", "node-2", { conditions: [] })), false);
    // A pod of its own: its containers are told, and the plan stays as it is.
    tell("Pod", pod("own", "node-1"));
    const withPod = compiler.plan();
    assert.notEqual(withPod, plan);
    assert.equal(tell("Pod", pod("own", "node-1", { containerStatuses: [] })), true);
    assert.equal(compiler.plan(), withPod);
  });
});
