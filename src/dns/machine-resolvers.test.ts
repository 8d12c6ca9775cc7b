import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { MachineResolvers } from "./machine-resolvers.ts";

test("names outside the cluster are asked of the node's own resolvers, as they are at the moment, and never of ourselves", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const path = "/etc/resolv.conf";
  const write = (text: string) => world.drive(host.files.makeDirectory("/etc").then(() => host.files.writeAtomic(path, text)));
  await write("search example.org\nnameserver 10.96.0.10\nnameserver 192.0.2.1\n# nameserver 192.0.2.9\nnameserver fd00::1\nnameserver 192.0.2.2\n");
  const resolvers = await world.drive(MachineResolvers.open(host, { path, own: "10.96.0.10" }));
  const asked = () => resolvers.current.map(({ ip, port }) => `${ip}:${port}`);
  assert.deepEqual(asked(), ["192.0.2.1:53", "192.0.2.2:53"]);
  await write("nameserver 198.51.100.1\n");
  await world.drive(host.clock.sleep(60_000));
  assert.deepEqual(asked(), ["198.51.100.1:53"]);
  await world.drive(host.files.remove(path));
  await world.drive(host.clock.sleep(60_000));
  assert.deepEqual(asked(), ["198.51.100.1:53"], "a file that is being replaced changes nothing");
  resolvers.close();
});
