/** A cluster comes, is used, and goes without a trace, however it ends; as root and as an ordinary user. Its programs are stand-ins. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { namespacesBelow, newTraces, processesIn, readTraces } from "./traces.ts";
import { users, type User } from "./user.ts";
import { startWeft, weft, type RunningCommand } from "./weft.ts";

/** What the issue allows a dead cluster. */
const GONE_WITHIN_MS = 5000;
const START_MS = 30_000;

interface Record {
  readonly pid: number;
  readonly innerPid: number;
  readonly ports: { readonly api: number; readonly http: number; readonly https: number };
}

for (const { name: who, make } of users) {
  let user: User;
  let name: string;
  const standIns = (): string => join(user.checkout, "test/cluster/stand-ins");
  const up = (...args: string[]): RunningCommand => startWeft(user, ["up", "--name", name, "--programs", standIns(), ...args]);
  const record = (): Record => {
    const folder = process.getuid?.() === 0 && user.prefix.length === 0 ? "/var/lib/weft" : join(user.env["XDG_STATE_HOME"] ?? "", "weft");
    return JSON.parse(readFileSync(join(folder, name, "supervisor.json"), "utf8")) as Record;
  };
  const isOpen = (port: number): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
  const runs = async (): Promise<RunningCommand> => {
    const running = up();
    await running.until(/Ctrl-C ends it/, START_MS);
    return running;
  };

  describe(`a cluster of ${who}`, () => {
    before(() => {
      user = make();
      name = `t${process.pid}${user.prefix.length === 0 ? "" : "u"}`;
    });
    // Also when a test failed half-way.
    afterEach(() => weft(user, ["down", "--name", name]));
    after(() => user.cleanUp());

    const ends: readonly { readonly how: string; readonly end: (running: RunningCommand) => void | Promise<unknown> }[] = [
      { how: "Ctrl-C", end: ({ child }) => void child.kill("SIGINT") },
      { how: "weft down", end: () => weft(user, ["down", "--name", name]) },
      { how: "kill -9 of the outer half", end: () => void process.kill(record().pid, "SIGKILL") },
      { how: "kill -9 of the inner half", end: () => void process.kill(innerHalf(record().innerPid), "SIGKILL") },
      { how: "kill -9 of init", end: () => void process.kill(record().innerPid, "SIGKILL") },
    ];
    for (const { how, end } of ends) {
      test(`leaves nothing behind after ${how}`, async () => {
        const folders = [user.env["TMPDIR"] ?? ""];
        const traces = readTraces(folders);
        const running = await runs();
        const { pid, ports } = record();
        const namespaces = namespacesBelow(pid);
        assert.ok(namespaces.size >= 5, `root, two nodes and outside have network namespaces: ${[...namespaces].join(" ")}`);
        assert.ok(await isOpen(ports.api));
        await end(running);
        const deadline = Date.now() + GONE_WITHIN_MS;
        while (processesIn(namespaces).length > 0 && Date.now() < deadline) await sleep(50);
        assert.deepEqual(processesIn(namespaces), []);
        await running.result;
        for (const port of Object.values(ports)) assert.equal(await isOpen(port), false, `port ${port} is closed`);
        assert.deepEqual(newTraces(traces, readTraces(folders)), []);
      });
    }

    test("keeps its ports, refuses a second one of its name, and tells where the kubeconfig is", async () => {
      const first = await runs();
      const { ports } = record();
      const second = await up().result;
      assert.equal(second.code, 1);
      assert.match(second.stderr, /is running already \(pid \d+\); look: {2}weft status --name/);
      const kubeconfig = await weft(user, ["kubeconfig", "--name", name]);
      assert.match(readFileSync(kubeconfig.stdout.trim(), "utf8"), new RegExp(`https://127\\.0\\.0\\.1:${ports.api}`));
      await weft(user, ["down", "--name", name]);
      assert.equal((await first.result).code, 0);
      const again = await runs();
      assert.deepEqual(record().ports, ports);
      again.child.kill("SIGINT");
      assert.equal((await again.result).code, 0);
    });

    test("enter reaches the network of a node and of a machine outside, and passes the status on", async () => {
      const running = await runs();
      const enter = (...args: string[]): ReturnType<typeof weft> => weft(user, ["enter", "--name", name, ...args]);
      const node = await enter("node-2", "--", "ip", "-br", "addr");
      assert.match(node.stdout, /eth0@\S+\s+UP\s+192\.168\.99\.12\/24/, node.stderr);
      assert.match((await enter("outside", "--", "ip", "-br", "addr")).stdout, /192\.168\.99\.9\/24/);
      assert.match((await enter("--", "ip", "-br", "link")).stdout, /underlay/);
      assert.equal((await enter("outside", "--", "sh", "-c", "exit 7")).code, 7);
      const nobody = await enter("nobody", "--", "true");
      assert.equal(nobody.code, 2);
      assert.match(nobody.stderr, /"nobody" is no node and no pod of namespace default; there are: node-1, node-2, outside/);
      running.child.kill("SIGINT");
      await running.result;
    });

    test("a program that ends is started again within 2 s", async () => {
      const running = await runs();
      const api = record().ports.api;
      const control = processesIn(namespacesBelow(record().pid)).find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("stand-ins/control.ts"));
      process.kill(Number(control), "SIGKILL");
      const killedAt = Date.now();
      await running.until(/control +ended \(SIGKILL\), starting it again/, 2000);
      await sleep(300);
      while ((await weft(user, ["status", "--name", name])).code !== 0) assert.ok(Date.now() - killedAt < 4000, `API on ${api} is back`);
      running.child.kill("SIGINT");
      await running.result;
    });

    test("--detach leaves it running, status tells so, down ends it", async () => {
      const detached = await up("--detach", "--nodes", "3").result;
      assert.equal(detached.code, 0, detached.stderr + detached.stdout);
      assert.match(detached.stdout, /nodes {8}node-1, node-2, node-3 Ready/);
      const status = await weft(user, ["status", "--name", name]);
      assert.match(status.stdout, /^cluster t\d+u? +up \d+s +3 nodes +0 of 0 pods Ready/);
      const json = JSON.parse((await weft(user, ["status", "--name", name, "-o", "json"])).stdout) as { nodes: readonly { name: string; ready: boolean }[] };
      assert.deepEqual(
        json.nodes.map((node) => [node.name, node.ready]),
        [
          ["node-1", true],
          ["node-2", true],
          ["node-3", true],
        ],
      );
      assert.match((await weft(user, ["down", "--name", name])).stdout, /ended in [\d.]+s; its state stays in/);
      assert.match((await weft(user, ["status", "--name", name])).stderr, /is not running; start it: {2}weft up --name/);
    });
  });
}

/** The Node process that init waits for. */
function innerHalf(initPid: number): number {
  const children = readFileSync(`/proc/${initPid}/task/${initPid}/children`, "utf8").trim().split(" ");
  const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").match(/supervisor\.(ts|mjs)/) !== null);
  assert.ok(found !== undefined, "init has the inner half as its child");
  return Number(found);
}
