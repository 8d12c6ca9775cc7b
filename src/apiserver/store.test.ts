import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
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
      const store = new Store(await fakeStorage().open("log"), { changes: history, bytes: 1e9 });
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
      const store = new Store(await fakeStorage(disk).open("log"), { changes: history, bytes: 1e9 });
      for (const write of first) apply(store, write);
      const known = [...store.all("ConfigMap")];
      const revision = store.revision;
      for (const write of second) apply(store, write);
      // No close: the process is gone.
      const again = new Store(await fakeStorage(disk).open("log"), { changes: history, bytes: 1e9 });
      assert.deepEqual(contents(again), contents(store));
      assert.ok(again.revision >= revision);
      const missed = again.since(revision);
      if (missed !== undefined) assert.deepEqual(follow(known, missed), contents(store));
    }),
  );
});

test("revisions never go back, even when the newest objects are deleted, compacted and the server restarts", async () => {
  const disk: FakeDisk = new Map();
  const store = new Store(await fakeStorage(disk).open("log"), { changes: 2, bytes: 1e9 });
  for (let index = 0; index < 50; index++) {
    store.put("ConfigMap", object("x", index));
    store.remove("ConfigMap", "a/x");
  }
  const again = new Store(await fakeStorage(disk).open("log"), { changes: 2, bytes: 1e9 });
  assert.equal(again.revision, store.revision);
});

test("large objects do not fill the history, nor the disk", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "api.db");
  const store = new Store(await realStorage().open(path), { changes: 4000, bytes: 1_000_000 });
  const filler = "x".repeat(100_000);
  for (let index = 0; index < 200; index++) store.put("ConfigMap", { ...object("large", index), data: { filler, index: String(index) } } as KubeObject);
  assert.equal(store.since(store.revision - 5)?.length, 5);
  assert.equal(store.since(store.revision - 20), undefined, "of 20 MB, one is kept");
  store.close();
  assert.ok(statSync(path).size < 8_000_000, `${statSync(path).size} bytes on disk`);
});

/** Writes without end, and says after each write which revision is stored. */
const writer = (path: string) => `
  import { writeSync } from "node:fs";
  const { realStorage } = await import(${JSON.stringify(import.meta.resolve("#host/real/storage.ts"))});
  const { Store } = await import(${JSON.stringify(import.meta.resolve("./store.ts"))});
  const store = new Store(await realStorage().open(${JSON.stringify(path)}), { changes: 50, bytes: 1e9 });
  for (let index = 0; ; index++) {
    const name = "n" + (index % 7);
    const put = index % 11 !== 10;
    const metadata = { name, namespace: "a", uid: String(index) };
    const after = put ? store.put("ConfigMap", { apiVersion: "v1", kind: "ConfigMap", metadata }) : store.remove("ConfigMap", "a/" + name);
    if (after !== undefined) writeSync(1, [after.metadata.resourceVersion, name, put ? index : "gone"].join(" ") + "\\n");
  }
`;

test("what was acknowledged survives kill -9 in the midst of writing and compacting", { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "api.db");
  const rounds = process.env["WEFT_TEST_LONG"] === "1" ? 40 : 4;
  const stored = new Map<string, string>();
  let revision = 0;
  for (let round = 0; round < rounds; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", writer(path)], { stdio: ["ignore", "pipe", "inherit"] });
    const limit = 200 + 137 * (round % 5);
    let text = "";
    child.stdout.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      if (text.split("\n").length > limit) child.kill("SIGKILL");
    });
    const signal = await new Promise((resolve) => child.on("close", (_code, ended) => resolve(ended)));
    assert.equal(signal, "SIGKILL", "the writer was killed while it wrote");
    const lines = text.slice(0, text.lastIndexOf("\n")).split("\n");
    for (const [given = "", name = "", value = ""] of lines.map((line) => line.split(" "))) {
      revision = Number(given);
      stored.set(name, value);
    }
    const store = new Store(await realStorage().open(path), { changes: 50, bytes: 1e9 });
    // At most one write was stored and not yet said.
    const [late] = store.since(revision) ?? [];
    assert.ok(store.revision - revision <= 1, `${store.revision} is stored, ${revision} was acknowledged`);
    if (late !== undefined) stored.set(late.key.slice(2), late.after?.metadata.uid ?? "gone");
    for (const [name, value] of stored) assert.equal(store.get("ConfigMap", `a/${name}`)?.metadata.uid ?? "gone", value, `${name} after round ${round}`);
    revision = store.revision;
    store.close();
  }
});
