import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { createLog } from "#run/log.ts";
import { CHAINED_CONFIG, FULL_CONFIG, keepChained, removeConfigs, writeFullConfig } from "./network-config.ts";

const folder = "/etc/cni/net.d";

async function lab() {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  await host.files.makeDirectory(folder);
  const lines: string[] = [];
  const log = createLog({ program: "agent", clock: world.clock, level: "warn", write: (line) => void lines.push(line) });
  const options = { host, log, folder, socket: "/run/weft/cni.sock" };
  const read = async (name: string): Promise<unknown> =>
    (await host.files.stat(`${folder}/${name}`)) === undefined ? undefined : JSON.parse(await host.files.readText(`${folder}/${name}`));
  const write = (name: string, value: unknown): Promise<void> => host.files.writeAtomic(`${folder}/${name}`, JSON.stringify(value));
  return { world, host, options, read, write, lines };
}

const bridge = { cniVersion: "0.4.0", name: "net", plugins: [{ type: "bridge", ipam: { type: "host-local" } }, { type: "portmap" }] };
const own = { type: "weft-cni", socket: "/run/weft/cni.sock" };

test("profile full has a configuration of its own", async () => {
  const { options, read, write, lines } = await lab();
  await writeFullConfig(options);
  assert.deepEqual(await read(FULL_CONFIG), { cniVersion: "1.0.0", name: "weft", plugins: [own] });
  await write("10-net.conflist", bridge);
  await writeFullConfig(options);
  assert.deepEqual(lines, []);
  await write("00-net.conflist", bridge);
  await writeFullConfig(options);
  assert.match(lines.join(""), /another CNI configuration comes before ours.*00-net\.conflist/);
});

test("profile mesh stands behind the plugins of the first other configuration, under its name, and follows it", async () => {
  const { world, options, read, write, host } = await lab();
  await write("10-net.conflist", bridge);
  await write("20-later.conflist", { ...bridge, name: "later" });
  const kept = await world.drive(keepChained(options));
  assert.deepEqual(await read(CHAINED_CONFIG), { ...bridge, plugins: [...bridge.plugins, own] });
  await write("10-net.conflist", { ...bridge, plugins: [{ type: "ptp" }] });
  await world.pass(1_000);
  assert.deepEqual(await read(CHAINED_CONFIG), { ...bridge, plugins: [{ type: "ptp" }, own] });
  await host.files.remove(`${folder}/10-net.conflist`);
  await world.pass(1_000);
  assert.deepEqual(await read(CHAINED_CONFIG), { ...bridge, name: "later", plugins: [...bridge.plugins, own] });
  kept.close();
});

test("there is nothing to chain behind: the node stays without pods until there is", async () => {
  const { world, options, read, write, host } = await lab();
  const kept = await world.drive(keepChained(options));
  assert.equal(await read(CHAINED_CONFIG), undefined);
  await write("10-broken.conflist", { plugins: "none" });
  await write("87-one.conf", { cniVersion: "0.3.1", name: "one", type: "bridge" });
  await world.pass(1_000);
  assert.deepEqual(await read(CHAINED_CONFIG), { cniVersion: "0.3.1", name: "one", plugins: [{ cniVersion: "0.3.1", name: "one", type: "bridge" }, own] });
  await host.files.remove(`${folder}/87-one.conf`);
  await world.pass(1_000);
  assert.equal(await read(CHAINED_CONFIG), undefined);
  kept.close();
});

test("an uninstalled plugin leaves the other configuration as it was", async () => {
  const { world, options, read, write, host } = await lab();
  await write("10-net.conflist", bridge);
  const kept = await world.drive(keepChained(options));
  kept.close();
  await removeConfigs(host.files, folder);
  assert.deepEqual(await host.files.list(folder), ["10-net.conflist"]);
  assert.deepEqual(await read("10-net.conflist"), bridge);
});
