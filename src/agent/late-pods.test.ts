import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#model/core.ts";
import { silentLog } from "#run/log.ts";
import { LatePods, type PodSandbox } from "./late-pods.ts";
import type { PodRecord } from "./pod-records.ts";

const OURS = { name: "istio-proxy", env: [{ name: "WEFT_PROXY_KIND", value: "sidecar" }] };

/** A pod of node-1 whose network another plugin made; `more` says what is different. */
function pod(name: string, more: { readonly metadata?: object; readonly spec?: object; readonly status?: object } = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name, uid: `uid-${name}`, ...more.metadata },
    spec: { nodeName: "node-1", containers: [{ name: "app" }], initContainers: [OURS], ...more.spec },
    status: { phase: "Pending", podIP: "10.0.1.7", ...more.status },
  } as Pod;
}

function lab(pods: readonly Pod[]) {
  const sandboxes = new Map<string, PodSandbox | string>();
  const joined: PodRecord[] = [];
  const told: string[] = [];
  let asked = 0;
  const late = new LatePods({
    node: "node-1",
    log: silentLog,
    pods: () => pods,
    isKnown: (uid) => joined.some((record) => record.uid === uid),
    sandboxOf: async (uid) => {
      asked += 1;
      return sandboxes.get(uid) ?? { containerId: `sandbox-of-${uid}`, netns: `/run/netns/${uid}` };
    },
    join: async (_, record) => void joined.push(record),
    tell: ({ metadata }, { type, reason, message }) => void told.push(`${metadata.name}: ${type} ${reason}: ${message}`),
  });
  return { late, joined, told, sandboxes, asked: () => asked };
}

test("a pod that nobody asked to wire is joined with the address that it has, once", async () => {
  const { late, joined, told } = lab([pod("a")]);
  await late.look();
  await late.look();
  const want = { containerId: "sandbox-of-uid-a", netns: "/run/netns/uid-a", uid: "uid-a", namespace: "shop", name: "a", ip: "10.0.1.7" };
  assert.deepEqual(joined, [want]);
  assert.deepEqual(told, []);
});

test("of a pod with addresses of both families it is the IPv4 one", async () => {
  const { late, joined } = lab([pod("a", { status: { podIP: "fd00:10::7", podIPs: [{ ip: "fd00:10::7" }, { ip: "10.0.1.7" }] } })]);
  await late.look();
  assert.equal(joined[0]?.ip, "10.0.1.7");
});

test("pods that are not ours to join are left alone", async () => {
  const { late, joined, asked } = lab([
    pod("without-a-proxy", { spec: { initContainers: [] } }),
    pod("with-istios-own-proxy", { spec: { initContainers: [{ name: "istio-proxy", args: ["proxy", "sidecar"] }] } }),
    pod("in-the-nodes-network", { spec: { hostNetwork: true } }),
    pod("of-another-node", { spec: { nodeName: "node-2" } }),
    pod("whose-network-is-being-made", { status: { podIP: "" } }),
    pod("that-has-ended", { status: { phase: "Succeeded" } }),
    pod("that-is-ending", { metadata: { deletionTimestamp: "2026-11-21T00:00:00Z" } }),
  ]);
  await late.look();
  assert.deepEqual(joined, []);
  assert.equal(asked(), 0);
});

test("who joins while its containers run is told what that means for its connections", async () => {
  const running = [{ name: "app", state: { running: {} } }];
  const { late, joined, told } = lab([pod("a", { spec: { containers: [{ name: "app" }, OURS], initContainers: [] }, status: { containerStatuses: running } })]);
  await late.look();
  assert.equal(joined.length, 1);
  assert.match(told.join(), /^a: Warning JoinedLate: .*connections that were open then go past its proxy/);
});

test("a pod that cannot be joined is told what to do, once, and is joined when it can be", async () => {
  const { late, joined, told, sandboxes } = lab([pod("a")]);
  sandboxes.set("uid-a", "the network namespace of its processes is bound to no file in /run/netns");
  await late.look();
  await late.look();
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /^a: Warning NotInMesh: .*is bound to no file in \/run\/netns\); delete it, so that it is made anew$/);
  sandboxes.delete("uid-a");
  await late.look();
  assert.equal(joined.length, 1);
});
