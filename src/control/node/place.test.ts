import assert from "node:assert/strict";
import { it } from "node:test";
import type { Node, Pod } from "#model/core.ts";
import { placePod } from "./place.ts";

function node(name: string, facts: { ready?: boolean; labels?: Record<string, string>; spec?: Node["spec"] } = {}): Node {
  const conditions = [{ type: "Ready", status: facts.ready === false ? "False" : "True" }];
  return { apiVersion: "v1", kind: "Node", metadata: { name, labels: facts.labels ?? {} }, spec: facts.spec ?? {}, status: { conditions } };
}

function pod(name: string, facts: { owner?: string; spec?: Partial<Pod["spec"]> } = {}): Pod {
  const owner = facts.owner;
  const ownerReferences = owner === undefined ? [] : [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: owner, uid: owner, controller: true }];
  return { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", ownerReferences }, spec: { containers: [{ name: "a" }], ...facts.spec } };
}

const bound = (name: string, nodeName: string, owner?: string): Pod => pod(name, { ...(owner === undefined ? {} : { owner }), spec: { nodeName } });
const [one, two] = [node("node-1"), node("node-2")];
const tainted = node("node-1", { spec: { taints: [{ key: "dedicated", value: "db", effect: "NoSchedule" }] } });

const CASES: { name: string; pod: Pod; nodes: Node[]; pods?: Pod[]; want: string }[] = [
  { name: "an empty cluster: the first node", pod: pod("a"), nodes: [one, two], want: "node-1" },
  { name: "the emptier node", pod: pod("a"), nodes: [one, two], pods: [bound("b", "node-1")], want: "node-2" },
  {
    name: "siblings apart, even on the fuller node",
    pod: pod("a", { owner: "rs" }),
    nodes: [one, two],
    pods: [bound("b", "node-2", "rs"), bound("c", "node-1"), bound("d", "node-1")],
    want: "node-1",
  },
  { name: "no node that is not ready", pod: pod("a"), nodes: [node("node-1", { ready: false }), two], pods: [bound("b", "node-2")], want: "node-2" },
  {
    name: "the node that it selects",
    pod: pod("a", { spec: { nodeSelector: { disk: "ssd" } } }),
    nodes: [one, node("node-2", { labels: { disk: "ssd" } })],
    want: "node-2",
  },
  {
    name: "the node that its affinity requires",
    pod: pod("a", {
      spec: {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: "disk", operator: "Exists" }] }] },
          },
        } as Pod["spec"]["affinity"] & object,
      },
    }),
    nodes: [one, node("node-2", { labels: { disk: "ssd" } })],
    want: "node-2",
  },
  { name: "a taint that it tolerates", pod: pod("a", { spec: { tolerations: [{ key: "dedicated", operator: "Exists" }] } }), nodes: [tainted], want: "node-1" },
  {
    name: "nowhere, with every reason",
    pod: pod("a"),
    nodes: [tainted, node("node-2", { ready: false }), node("node-3", { spec: { unschedulable: true } })],
    want: "0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 1 node(s) were not ready, 1 node(s) were unschedulable.",
  },
  { name: "nowhere without nodes", pod: pod("a"), nodes: [], want: "0/0 nodes are available." },
];
for (const { name, pod: waiting, nodes, pods = [], want } of CASES) {
  it(`a pod goes to ${name}`, () => {
    const placement = placePod(waiting, nodes, pods);
    assert.equal("node" in placement ? placement.node : placement.refused, want);
  });
}
