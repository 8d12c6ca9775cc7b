import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeCompiler } from "#compile/node/node-compiler.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeNft } from "#host/fake/nft.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Host } from "#host/host.ts";
import { createLog } from "#run/log.ts";
import { PlanApplier } from "./apply-plan.ts";
import { nodeWith } from "./test-node.ts";

const NODE = nodeWith({ podCIDR: "10.244.0.0/24", address: "192.168.0.1" });
const CLIENT = "10.244.0.5 . 10.96.0.20 . tcp . 80";

/** A node whose agent's rules have remembered a client since they were written. */
async function node() {
  const world = new FakeWorld();
  const nft = new FakeNft();
  const host = fakeHost(world, { name: "node-1", nft });
  world.kernel.home("node-1").add({ name: "eth0", kind: "veth", mac: "02:00:00:00:00:01", mtu: 1500 }).up = true;
  const lines: string[] = [];
  const log = createLog({ program: "agent", clock: world.clock, write: (line) => void lines.push(line) });
  /** An agent's first plan. */
  const apply = async (on: Pick<Host, "netlink" | "nft" | "netns"> = host): Promise<void> => {
    const compiler = new NodeCompiler({ node: "node-1", settings: DEFAULT_SETTINGS });
    compiler.apply({ kind: "Node", key: "node-1", object: NODE });
    const applier = new PlanApplier(on, log);
    await applier.apply(compiler.plan());
    applier.close();
  };
  await apply();
  await nft.apply(`add element ip weft-services clients { ${CLIENT} : 0x0badcafe }\n`);
  const clients = () => nft.tables().flatMap(({ maps }) => maps.filter(({ name }) => name === "clients").flatMap(({ elements }) => elements));
  return { host, nft, lines, apply, clients };
}

test("an agent that starts again leaves clients with the endpoints that they had", async () => {
  const { apply, clients, lines } = await node();
  await apply();
  assert.deepEqual(
    clients().map(({ key }) => key.join(" . ")),
    [CLIENT],
  );
  assert.deepEqual(lines, []);
});

test("what cannot be taken over is left, and the rules are there", async () => {
  const { host, nft, apply, clients, lines } = await node();
  const older: Host["nft"] = { apply: (text, netns) => nft.apply(text, netns), list: () => nft.list(), elements: async () => "of a version that is no more" };
  await apply({ ...host, nft: older });
  assert.deepEqual(clients(), []);
  assert.ok(nft.tables().some(({ name }) => name === "weft-services"));
  assert.match(lines.join(""), /which clients stay with which endpoint could not be taken over/);
});
