import assert from "node:assert/strict";
import { test } from "node:test";
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { worldReader } from "#model/world.ts";
import { silentLog } from "#run/log.ts";
import { FlowLog } from "./flow-log.ts";
import { PlanLoop } from "./plan-loop.ts";

const planOf = (node: string) => compileNode(worldReader({}), { node, settings: DEFAULT_SETTINGS });

function lab() {
  const world = new FakeWorld();
  const state = { compiled: 0, applied: 0, failures: 0 };
  const loop = new PlanLoop({
    clock: world.clock,
    log: silentLog,
    compile: () => planOf(`node-${++state.compiled}`),
    apply: async () => {
      await world.clock.sleep(100);
      if (state.failures-- > 0) throw new Error("the kernel says no");
    },
    applied: () => void (state.applied += 1),
  });
  return { world, loop, state };
}

test("changes while a plan is applied become one more plan", async () => {
  const { world, loop, state } = lab();
  for (let i = 0; i < 10; i += 1) loop.changed();
  await world.pass(50);
  for (let i = 0; i < 10; i += 1) loop.changed();
  await world.pass(1000);
  assert.deepEqual([state.compiled, state.applied], [2, 2]);
});

test("who waits gets a plan that was compiled after it asked", async () => {
  const { world, loop } = lab();
  loop.changed();
  await world.pass(50);
  assert.equal((await world.drive(loop.applied())).node, "node-2");
});

test("a plan that the kernel refuses is tried again, ever more seldom, and who waits hears it at once", async () => {
  const { world, loop, state } = lab();
  state.failures = 3;
  await assert.rejects(world.drive(loop.applied()), /the kernel says no/);
  await world.pass(2000);
  assert.equal(state.applied, 1);
  assert.equal(state.compiled, 4);
});

test("a drop is told with the policies of the plan in force, the pods' names, and a rule that is gone as such", () => {
  const plan = {
    ...planOf("node-1"),
    drops: {
      "weft ingress 10.244.0.5": {
        direction: "ingress" as const,
        policies: [{ kind: "NetworkPolicy", namespace: "shop", name: "closed", field: "" } as const],
        text: "isolated",
      },
    },
  };
  const flows = new FlowLog({ node: "node-1", now: () => 0, plan: () => plan, podAt: (ip) => (ip === "10.244.0.5" ? "shop/web" : undefined) });
  // IPv4 and UDP headers: 10.244.1.7:1000 to 10.244.0.5:53.
  const packet = Buffer.from("4500001c000000004011000 00af401070af4000503e8003500080000".replace(" ", ""), "hex");
  flows.received({ prefix: "weft ingress 10.244.0.5", payload: packet });
  flows.received({ prefix: "weft ingress 10.244.0.9", payload: packet });
  flows.received({ prefix: "weft ingress 10.244.0.5", payload: packet.subarray(0, 10) });
  assert.deepEqual(
    flows.records().map(({ protocol, source, destination, policies, reason }) => ({ protocol, source, destination, policies, reason })),
    [
      {
        protocol: "udp",
        source: { ip: "10.244.1.7", port: 1000 },
        destination: { ip: "10.244.0.5", pod: "shop/web", port: 53 },
        policies: ["NetworkPolicy shop/closed"],
        reason: "isolated",
      },
      {
        protocol: "udp",
        source: { ip: "10.244.1.7", port: 1000 },
        destination: { ip: "10.244.0.5", pod: "shop/web", port: 53 },
        policies: [],
        reason: "a rule that is gone by now (weft ingress 10.244.0.9)",
      },
    ],
  );
});
