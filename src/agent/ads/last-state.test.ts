import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeFiles } from "#host/fake/files.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { XDS_TYPES, type EncodedResource } from "#model/plan/proxy-plan.ts";
import { createLog } from "#run/log.ts";
import { LastState, type SavedPod } from "./last-state.ts";

const PATH = "/run/weft/proxies.json";
const resource = (name: string): EncodedResource => ({ name, version: `version of ${name}`, bytes: new Uint8Array([1, 2, 255]) });
const identity = { chain: ["leaf", "root"], privateKey: "key" };
const podWith = (...resources: readonly EncodedResource[]): SavedPod => ({
  types: new Map([[XDS_TYPES.cluster, new Map(resources.map((each) => [each.name, each]))]]),
  identity,
});

async function node() {
  const world = new FakeWorld();
  const files = new FakeFiles(world.clock);
  await files.makeDirectory("/run/weft");
  const lines: string[] = [];
  const log = createLog({ program: "agent", clock: world.clock, write: (line) => void lines.push(line) });
  const load = () => LastState.load({ files, clock: world.clock }, { path: PATH, log });
  return { world, files, lines, load };
}

test("the next agent finds what proxies were served, in a file for root alone that says what two pods share once", async () => {
  const { world, files, load } = await node();
  const shared = resource("shared");
  const first = await load();
  assert.equal(
    first.take("a", () => podWith(shared)),
    undefined,
  );
  first.take("b", () => podWith(shared, resource("own")));
  first.changed();
  await world.drive(world.clock.sleep(6_000));
  assert.equal((await files.stat(PATH))?.mode, 0o600);
  assert.equal((await files.readText(PATH)).split("version of shared").length, 2);

  const second = await load();
  const empty = podWith();
  assert.deepEqual(
    second.take("b", () => empty),
    podWith(shared, resource("own")),
  );
  assert.deepEqual(
    second.take("a", () => empty),
    podWith(shared),
  );
});

test("changes are written together, what is known at the end is written at once, and nothing when nothing changed", async () => {
  const { world, files, load } = await node();
  const state = await load();
  state.take("a", () => podWith(resource("one")));
  await world.drive(state.close());
  assert.equal(await files.stat(PATH), undefined);
  for (let i = 0; i < 100; i += 1) state.changed();
  await world.drive(state.close());
  assert.match(await files.readText(PATH), /version of one/);
});

test("who closes while a copy is being written waits for it", async () => {
  const { world, files, load } = await node();
  const state = await load();
  state.take("a", () => podWith(resource("one")));
  let isOnItsWay = false;
  let isWritten = false;
  const { writeAtomic } = files;
  files.writeAtomic = async (...written) => {
    isOnItsWay = true;
    await world.clock.sleep(1_000);
    await writeAtomic.apply(files, written);
    isWritten = true;
  };
  state.changed();
  await world.drive(world.clock.sleep(5_500));
  assert.ok(isOnItsWay);
  await world.drive(state.close());
  assert.ok(isWritten);
});

test("a pod that goes leaves no key; one that is not served again yet keeps its own", async () => {
  const { world, files, load } = await node();
  const first = await load();
  first.take("a", () => podWith(resource("one")));
  first.take("b", () => podWith(resource("two")));
  first.forget("a");
  await world.drive(first.close());
  assert.doesNotMatch(await files.readText(PATH), /version of one/);

  const second = await load();
  second.take("c", () => podWith(resource("three")));
  second.changed();
  await world.drive(second.close());
  assert.match(await files.readText(PATH), /version of two/);
});

test("of pods that went while there was no agent nothing stays", async () => {
  const { world, files, load } = await node();
  const first = await load();
  for (const uid of ["a", "b"]) first.take(uid, () => podWith(resource(`one of ${uid}`)));
  first.changed();
  await world.drive(first.close());
  const second = await load();
  second.forgetOthers(new Set(["b"]));
  await world.drive(second.close());
  assert.doesNotMatch(await files.readText(PATH), /one of a/);
  assert.match(await files.readText(PATH), /one of b/);
});

test("a file that cannot be read is as none", async () => {
  const { files, load, lines } = await node();
  for (const text of ["{", '{"format":0}', '{"format":1,"resources":[],"pods":{"a":null}}']) {
    await files.writeAtomic(PATH, text);
    assert.equal(
      (await load()).take("a", () => podWith()),
      undefined,
    );
  }
  assert.equal(lines.length, 3);
  assert.match(lines[1] ?? "", /another version of the agent wrote it/);
});
