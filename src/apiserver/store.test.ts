import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { fakeStorage, type FakeDisk } from "#host/fake/storage.ts";
import { realStorage } from "#host/real/storage.ts";
import type { KubeObject } from "#model/object.ts";
import { Store, type Change } from "./store.ts";

const object = (name: string, value: number): KubeObject =>
  ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "a" }, data: { value: String(value) } }) as KubeObject;

type Write = { readonly name: string; readonly value: number | undefined };
const writes = fc.array(fc.record({ name: fc.constantFrom("x", "y", "z"), value: fc.option(fc.nat(5), { nil: undefined }) }), { maxLength: 60 });

function apply(store: Store, { name, value }: Write): void {
  if (value === undefined) store.remove("ConfigMap", `a/${name}`);
  else store.put("ConfigMap", object(name, value));
}

function contents(store: Store): unknown {
  return [...store.all("ConfigMap")].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** What a watcher knows that starts with `known` and hears `changes`. */
function follow(known: readonly KubeObject[], changes: readonly Change[]): unknown {
  const objects = new Map(known.map((each) => [`a/${each.metadata.name}`, each]));
  for (const { key, after } of changes) {
    if (after === undefined) objects.delete(key);
    else objects.set(key, after);
  }
  return [...objects.values()].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

test("a watch from any revision that is still known leads to what is stored, whatever was written", async () => {
  await fc.assert(
    fc.asyncProperty(writes, fc.nat(60), fc.integer({ min: 2, max: 20 }), async (all, cut, history) => {
      const store = new Store(await fakeStorage().open("log"), history);
      const before = all.slice(0, cut);
      for (const write of before) apply(store, write);
      const known = [...store.all("ConfigMap")];
      const revision = store.revision;
      const live: Change[] = [];
      store.watch((change) => live.push(change));
      for (const write of all.slice(cut)) apply(store, write);
      assert.deepEqual(follow(known, live), contents(store));
      const missed = store.since(revision);
      // Too old is an answer too, but only when more was written than is kept.
      if (missed === undefined) assert.ok(store.revision - revision > history);
      else assert.deepEqual(follow(known, missed), contents(store));
    }),
  );
});

test("after a crash everything that was written is there, and watches go on from before it", async () => {
  await fc.assert(
    fc.asyncProperty(writes, writes, fc.integer({ min: 2, max: 20 }), async (first, second, history) => {
      const disk: FakeDisk = new Map();
      const store = new Store(await fakeStorage(disk).open("log"), history);
      for (const write of first) apply(store, write);
      const known = [...store.all("ConfigMap")];
      const revision = store.revision;
      for (const write of second) apply(store, write);
      // No close: the process is gone.
      const again = new Store(await fakeStorage(disk).open("log"), history);
      assert.deepEqual(contents(again), contents(store));
      assert.ok(again.revision >= revision);
      const missed = again.since(revision);
      if (missed !== undefined) assert.deepEqual(follow(known, missed), contents(store));
    }),
  );
});

test("revisions never go back, even when the newest objects are deleted, compacted and the server restarts", async () => {
  const disk: FakeDisk = new Map();
  const store = new Store(await fakeStorage(disk).open("log"), 2);
  for (let index = 0; index < 50; index++) {
    store.put("ConfigMap", object("x", index));
    store.remove("ConfigMap", "a/x");
  }
  const again = new Store(await fakeStorage(disk).open("log"), 2);
  assert.equal(again.revision, store.revision);
});

test("SQLite keeps what was appended before the process was killed", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "api.db");
  const store = new Store(await realStorage().open(path), 3);
  for (let index = 0; index < 40; index++) store.put("ConfigMap", object(`n${index % 5}`, index));
  store.remove("ConfigMap", "a/n0");
  const again = new Store(await realStorage().open(path), 3);
  assert.deepEqual(contents(again), contents(store));
  assert.equal(again.revision, store.revision);
  store.close();
  again.close();
});
