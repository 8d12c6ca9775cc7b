import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Pod } from "#model/core.ts";
import { createLog } from "#run/log.ts";
import { proofFor } from "./proxy-proof.ts";

const PROXY = "a".repeat(64);
const APP = "b".repeat(64);
const uid = "0a1b-2c3d";

/** A node with a pod, and processes on it. `mounts`: what they tell of containers; absent: nothing. */
async function lab(mounts?: Readonly<Record<number, string>>) {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  await host.netns.create("/run/netns/pod");
  await host.netns.create("/run/netns/other");
  let pod: Pod | undefined;
  const lines: string[] = [];
  const log = createLog({ program: "agent", clock: world.clock, write: (line) => void lines.push(line) });
  const containerName = mounts === undefined ? undefined : (pid: number) => Promise.resolve(mounts[pid]);
  const prove = proofFor({ host, log, containerName, findPod: () => pod }, { namespace: "shop", name: "a", uid, netns: "/run/netns/pod" });
  return {
    world,
    lines,
    /** kubelet's word on which container is which. */
    say(names: Readonly<Record<string, string>>) {
      const statuses = Object.entries(names).map(([name, id]) => ({
        name,
        containerID: `containerd://${id}`,
        ready: true,
        restartCount: 0,
        image: "",
        imageID: "",
      }));
      pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "a", namespace: "shop", uid },
        spec: { containers: [] },
        status: { containerStatuses: statuses },
      };
    },
    async process(pid: number, { podUid = uid, container = PROXY, netns = "/run/netns/pod" } = {}) {
      await host.files.makeDirectory(`/proc/${pid}`);
      await host.files.writeAtomic(`/proc/${pid}/cgroup`, `0::/kubepods/burstable/pod${podUid}/${container}\n`);
      world.kernel.processes.set(`/proc/${pid}/ns/net`, netns);
    },
    ask: (pid: number, user = 1337) => world.drive(prove({ pid, uid: user, gid: user })),
  };
}

test("a pod's proxy is admitted, before and after its status names its container", async () => {
  const { say, process, ask } = await lab();
  say({});
  await process(10);
  assert.equal(await ask(10), undefined);
  say({ "istio-proxy": PROXY, app: APP });
  assert.equal(await ask(10), undefined);
});

test("nobody else is", async () => {
  const { say, process, ask, lines } = await lab();
  say({ "istio-proxy": PROXY, app: APP });
  await process(10);
  await process(11, { podUid: "ffff-0000" });
  await process(12, { netns: "/run/netns/other" });
  await process(13, { container: APP });
  assert.equal(await ask(10, 0), "its uid is 0, not the proxy's 1337");
  assert.equal(await ask(11), "its control group is of the pod with uid ffff-0000");
  assert.equal(await ask(12), "it is in another network namespace");
  assert.equal(await ask(13), "it runs in container app");
  assert.match((await ask(99)) ?? "", /could not be looked at: .*\/proc\/99\/cgroup/);
  assert.equal(await ask(0), "it is in no process namespace that this agent sees (the agent needs hostPID)");
  assert.equal(lines.length, 6);
  assert.match(lines[0] ?? "", /"object":"Pod shop\/a","pid":10,"uid":0/);
  await ask(10, 0);
  assert.equal(lines.length, 6, "the same is not told again and again");
});

test("a second container waits until the status says which it is: an application that took the proxy's uid is refused", async () => {
  const { world, say, process, ask } = await lab();
  say({});
  await process(10);
  await process(13, { container: APP });
  assert.equal(await ask(10), undefined);
  world.plan(200, () => say({ "istio-proxy": PROXY, app: APP }));
  assert.equal(await ask(13), "it runs in container app");
});

test("a proxy that is started anew has another container, and is admitted when its status says so", async () => {
  const { world, say, process, ask } = await lab();
  say({ "istio-proxy": PROXY, app: APP });
  const again = "c".repeat(64);
  await process(14, { container: again });
  world.plan(200, () => say({ "istio-proxy": again, app: APP }));
  assert.equal(await ask(14), undefined);
});

test("where mounts tell the container nobody else is asked: not the API, and not who came first", async () => {
  const { process, ask } = await lab({ 10: "istio-proxy", 13: "first-of-all", 14: "app" });
  await process(13, { container: APP });
  await process(14, { container: APP });
  await process(10);
  assert.equal(await ask(13), "it runs in container first-of-all");
  assert.equal(await ask(14), "it runs in container app");
  assert.equal(await ask(10), undefined);
});

test("a process that hides its mounts must be named by the pod's status, first or not", async () => {
  const { say, process, ask } = await lab({});
  say({});
  await process(13, { container: APP });
  assert.equal(await ask(13), "it runs in a container that the pod's status does not name istio-proxy");
  say({ "istio-proxy": PROXY, app: APP });
  await process(10);
  assert.equal(await ask(10), undefined);
});
