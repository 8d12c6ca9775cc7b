import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { findSandbox } from "./pod-sandbox.ts";

const UID = "0a1b-2c3d";
const SANDBOX = "a".repeat(64);
const APP = "b".repeat(64);

interface FakeProcess {
  readonly container: string;
  readonly netns: string;
  readonly startedAt: number;
  readonly podUid?: string;
}

async function node(processes: Readonly<Record<number, FakeProcess>>, bound: readonly string[]) {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  world.kernel.home("node-1");
  world.kernel.processes.set("/proc/self/ns/net", "node-1");
  await host.files.makeDirectory("/proc/sys");
  for (const [pid, { container, netns, startedAt, podUid = UID }] of Object.entries(processes)) {
    if (world.kernel.find(netns) === undefined) await host.netns.create(netns);
    await host.files.makeDirectory(`/proc/${pid}`);
    await host.files.writeAtomic(`/proc/${pid}/cgroup`, `0::/kubepods/burstable/pod${podUid}/${container}\n`);
    await host.files.writeAtomic(`/proc/${pid}/stat`, `${pid} (a (b) c) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 ${startedAt} 1000 5\n`);
    world.kernel.processes.set(`/proc/${pid}/ns/net`, netns);
  }
  await host.files.makeDirectory("/run/netns");
  for (const name of bound) await host.files.writeAtomic(`/run/netns/${name}`, "");
  return host;
}

test("the sandbox is of the pod's oldest process, and its namespace is the one that is bound to a file", async () => {
  const host = await node(
    {
      30: { container: APP, netns: "/run/netns/cni-1", startedAt: 900 },
      7: { container: SANDBOX, netns: "/run/netns/cni-1", startedAt: 800 },
      8: { container: "c".repeat(64), netns: "/run/netns/cni-2", startedAt: 100, podUid: "ffff-0000" },
    },
    ["cni-1", "cni-2"],
  );
  assert.deepEqual(await findSandbox(host, UID), { containerId: SANDBOX, netns: "/run/netns/cni-1" });
});

test("a namespace that an application made for itself is not its pod's, nor is the node's own", async () => {
  const host = await node(
    {
      7: { container: SANDBOX, netns: "node-1", startedAt: 800 },
      30: { container: APP, netns: "made-by-app", startedAt: 900 },
    },
    [],
  );
  assert.equal(await findSandbox(host, UID), "the network namespace of its processes is bound to no file in /run/netns");
});

test("a pod without processes has no sandbox that could be found", async () => {
  const host = await node({}, ["cni-1"]);
  assert.equal(await findSandbox(host, UID), "none of the node's processes is in its control group");
});
