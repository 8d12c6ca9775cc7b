import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { silentLog } from "./log.ts";
import { reconcileLoop } from "./reconcile.ts";
import type { ReconcileLoop } from "./reconcile.ts";

function setup(reconcile: (key: string, world: FakeWorld) => Promise<void | { againMs: number }>, concurrency = 1): { world: FakeWorld; loop: ReconcileLoop } {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "test" });
  const loop = reconcileLoop({ name: "test", host, log: silentLog, concurrency, reconcile: (key) => reconcile(key, world) });
  return { world, loop };
}

test("a key added many times while it waits is done once, in order of arrival", async () => {
  const done: string[] = [];
  const { world, loop } = setup(async (key, { clock }) => {
    await clock.sleep(10);
    done.push(key);
  });
  for (const key of ["a", "b", "b", "c", "b"]) loop.add(key);
  await world.drive(loop.idle());
  assert.deepEqual(done, ["a", "b", "c"]);
});

test("a key added while it runs is done once more", async () => {
  let runs = 0;
  const { world, loop } = setup(async (key, { clock }) => {
    runs += 1;
    if (runs === 1) {
      loop.add(key);
      loop.add(key);
    }
    await clock.sleep(10);
  });
  loop.add("a");
  await world.drive(loop.idle());
  assert.equal(runs, 2);
});

test("a failing key backs off, doubling up to the limit, and does not hold up others", async () => {
  const at: number[] = [];
  let others = 0;
  const { world, loop } = setup(async (key, { clock }) => {
    if (key === "good") {
      others += 1;
      return;
    }
    at.push(clock.monotonic());
    if (at.length < 12) throw new Error("not yet");
  });
  loop.add("bad");
  loop.add("good");
  await world.drive(loop.idle());
  assert.equal(others, 1);
  const gaps = at.slice(1).map((time, i) => time - (at[i] ?? 0));
  for (const [i, gap] of gaps.entries()) {
    const full = Math.min(10_000, 50 * 2 ** i);
    assert.ok(gap >= full / 2 && gap <= full, `gap ${i} is ${gap}, not within [${full / 2}, ${full}]`);
  }
});

test("reconcile may ask to be called again later; an earlier wish wins", async () => {
  const at: number[] = [];
  const { world, loop } = setup(async (_, { clock }) => {
    at.push(clock.monotonic());
    if (at.length === 1) return { againMs: 500 };
  });
  loop.add("a");
  await world.pass(1);
  loop.addAfter("a", 100);
  loop.addAfter("a", 400);
  await world.drive(loop.idle());
  assert.deepEqual(at, [0, 101]);
});

test("no more keys run at once than allowed", async () => {
  let running = 0;
  let most = 0;
  const { world, loop } = setup(async (_, { clock }) => {
    running += 1;
    most = Math.max(most, running);
    await clock.sleep(5);
    running -= 1;
  }, 3);
  for (let i = 0; i < 10; i += 1) loop.add(`key-${i}`);
  await world.drive(loop.idle());
  assert.equal(most, 3);
});

test("stop waits for what runs and starts nothing more", async () => {
  const done: string[] = [];
  const { world, loop } = setup(async (key, { clock }) => {
    await clock.sleep(10);
    done.push(key);
  });
  loop.add("a");
  loop.add("b");
  loop.addAfter("c", 1);
  const stopped = loop.stop();
  loop.add("d");
  await world.drive(stopped);
  await world.pass(1_000);
  assert.deepEqual(done, ["a"]);
});
