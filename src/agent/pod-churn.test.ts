import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeNft } from "#host/fake/nft.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { churn } from "./test-churn.ts";

test("1,000 pods, made and killed at random on a range of 61 addresses: nothing of them is left", { timeout: 300_000 }, async () => {
  const world = new FakeWorld({ seed: 1 });
  const nft = new FakeNft();
  const host = fakeHost(world, { name: "node-1", nft });
  const session = host.netlink.open();
  await session.addLink({ kind: "bridge", name: "eth0" });
  await host.files.makeDirectory("/run/weft");
  const report = await world.drive(churn(host, { folder: "/run/weft", namespaces: "/run/netns", pods: 1000, most: 50, podCIDR: "10.244.0.0/26" }));
  assert.equal(report.made, 1000);
  assert.ok(report.kills > 5 && report.ends.vanished > 100 && report.ends.GC > 50, JSON.stringify(report));
  assert.deepEqual(
    (await session.links()).filter(({ name }) => /^weft[0-9a-f]{11}$/.test(name)),
    [],
  );
  assert.deepEqual(
    (await session.routes()).filter(({ destination }) => destination.endsWith("/32")),
    [],
  );
  const sources = nft.tables().flatMap(({ sets }) => sets.filter(({ name }) => name === "sources"));
  assert.deepEqual(
    sources.map(({ elements }) => elements),
    [[]],
  );
});
