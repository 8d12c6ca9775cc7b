import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiClient } from "#client/client.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { World } from "#model/world.ts";
import { silentLog } from "#run/log.ts";
import { policiesKnown } from "./policies-known.ts";

const policy = (resourceVersion: string) => ({ metadata: { name: "p", namespace: "shop", resourceVersion } });

function lab(list: () => Promise<unknown>) {
  const time = new FakeWorld();
  const known = new Map<string, unknown>();
  const world = { NetworkPolicy: known } as unknown as World;
  let isCurrent = true;
  const ask = policiesKnown({
    host: { clock: time.clock },
    api: { list } as unknown as ApiClient,
    log: silentLog,
    world: () => world,
    isCurrent: () => isCurrent,
  });
  const waited = async (): Promise<number> => {
    const from = time.elapsedMs;
    await time.drive(ask("shop"));
    return Math.round(time.elapsedMs - from);
  };
  return { time, known, waited, lose: () => (isCurrent = false) };
}

test("a pod waits for the policies that were there before it, and no longer", async () => {
  const { time, known, waited } = lab(() => Promise.resolve({ items: [policy("7")] }));
  time.plan(40, () => known.set("shop/p", policy("7")));
  assert.equal(await waited(), 40);
  assert.equal(await waited(), 0);
});

test("an older version of a policy is not the policy; a newer one will do", async () => {
  const { time, known, waited } = lab(() => Promise.resolve({ items: [policy("10")] }));
  known.set("shop/p", policy("9"));
  time.plan(20, () => known.set("shop/p", policy("11")));
  assert.equal(await waited(), 20);
});

test("a policy that never comes (deleted meanwhile) holds a pod up for 5 s", async () => {
  const { waited } = lab(() => Promise.resolve({ items: [policy("7")] }));
  assert.ok((await waited()) >= 5_000);
});

test("without the API pods start under what is known, at once", async () => {
  const refused = lab(() => Promise.reject(new Error("connection refused")));
  assert.equal(await refused.waited(), 0);
  const gone = lab(() => Promise.reject(new Error("must not be asked")));
  gone.lose();
  assert.equal(await gone.waited(), 0);
});
