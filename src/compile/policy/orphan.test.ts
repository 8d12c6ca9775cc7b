import assert from "node:assert/strict";
import { test } from "node:test";
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS, type LocalPod } from "#compile/node/settings.ts";
import { worldReader, type World } from "#model/world.ts";

const local: LocalPod = { uid: "uid-1", namespace: "shop", name: "a", ip: "10.244.0.5", netns: "/run/netns/a" };
const worldWith = (uid: string | undefined): World =>
  uid === undefined
    ? {}
    : ({ Pod: new Map([["shop/a", { apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "shop", uid }, spec: { containers: [] } }]]) } as World);

/** What drops packets of this pod beside the guards. */
function drops(uid: string | undefined, pod: LocalPod): string[] {
  const plan = compileNode(worldReader(worldWith(uid)), { node: "node-1", settings: DEFAULT_SETTINGS }, [pod]);
  return Object.values(plan.drops).flatMap(({ pod: of, direction, text }) => (of === undefined ? [] : [`${direction}: ${text}`]));
}

test("a pod whose object is gone talks to nobody, and neither does one whose name another has by now", () => {
  const want = ["ingress", "egress"].map((direction) => `${direction}: the object of this pod (uid uid-1) is gone, and it still runs`);
  for (const uid of [undefined, "uid-2"]) assert.deepEqual(drops(uid, local), want);
});

test("a pod whose object is there is judged by its policies, and so is one that only the API tells of", () => {
  const { netns: _, ...told } = local;
  assert.deepEqual([drops("uid-1", local), drops(undefined, told)], [[], []]);
});
