import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { installPlugin, removeOldParts, removePlugin } from "./plugin-files.ts";

const folders = { source: "/image/cni", target: "/opt/cni/bin" };

async function image(files: ReturnType<typeof fakeHost>["files"], digest: string): Promise<void> {
  await files.remove(folders.source);
  await files.makeDirectory(`${folders.source}/weft-cni.d/node-${digest}`);
  await files.writeAtomic(`${folders.source}/weft-cni.d/node-${digest}/node`, "node", { mode: 0o755 });
  await files.writeAtomic(`${folders.source}/weft-cni.d/cni-${digest}.cjs`, "program");
  await files.writeAtomic(`${folders.source}/weft-cni`, `launches ${digest}`, { mode: 0o755 });
}

test("the plugin is copied with what it needs; another version's parts go last, and all of it at the end", async () => {
  const { files } = fakeHost(new FakeWorld(), { name: "node-1" });
  await files.makeDirectory(folders.target);
  await files.writeAtomic(`${folders.target}/bridge`, "somebody else's");
  await image(files, "1");
  await installPlugin(files, folders);
  assert.equal(await files.readText(`${folders.target}/weft-cni`), "launches 1");
  assert.equal((await files.stat(`${folders.target}/weft-cni.d/node-1/node`))?.mode, 0o755);
  await image(files, "2");
  await installPlugin(files, folders);
  assert.equal(await files.readText(`${folders.target}/weft-cni`), "launches 2");
  assert.deepEqual(await files.list(`${folders.target}/weft-cni.d`), ["cni-1.cjs", "cni-2.cjs", "node-1", "node-2"]);
  await removeOldParts(files, folders);
  assert.deepEqual(await files.list(`${folders.target}/weft-cni.d`), ["cni-2.cjs", "node-2"]);
  await removePlugin(files, folders.target);
  assert.deepEqual(await files.list(folders.target), ["bridge"]);
});

test("an image without the plugin is named", async () => {
  const { files } = fakeHost(new FakeWorld(), { name: "node-1" });
  await assert.rejects(installPlugin(files, folders), /\/image\/cni\/weft-cni: the image has no CNI plugin/);
});
