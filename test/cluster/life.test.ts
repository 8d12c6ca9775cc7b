/**
 * A cluster comes and goes without a trace, however it ends and whenever; as root and as an ordinary user. Its programs
 * are stand-ins that leave behind what they can: grandchildren that ignore signals, in sessions of their own.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runAlone } from "./alone.ts";
import { uniqueName } from "./unique-name.ts";
import { StandInCluster } from "./stand-in-cluster.ts";
import { descendants, namespacesBelow, newTraces, processesIn, readTraces } from "./traces.ts";
import { users, type User } from "./user.ts";
import type { RunningCommand } from "./weft.ts";

runAlone(import.meta.filename);

/** What a dead cluster may take, times four: the machine may be doing much else. */
const GONE_WITHIN_MS = 20_000;
const isLong = process.env["WEFT_TEST_LONG"] === "1";
const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

for (const [index, { name: who, make }] of users.entries()) {
  let user: User;
  let cluster: StandInCluster;
  const folders = (): readonly string[] => [user.env["TMPDIR"] ?? ""];

  /** Everything is as before; what else there is, is told. */
  const assertNoTraces = async (traces: readonly string[]): Promise<void> => {
    const deadline = Date.now() + GONE_WITHIN_MS;
    while (newTraces(traces, readTraces(folders())).length > 0 && Date.now() < deadline) await sleep(100);
    assert.deepEqual(newTraces(traces, readTraces(folders())), []);
  };

  describe(`a cluster of ${who}`, () => {
    before(() => {
      user = make();
      cluster = new StandInCluster(user, uniqueName("life"));
    });
    after(async () => {
      await cluster.remove();
      user.cleanUp();
    });

    const ends: readonly { readonly how: string; readonly end: (running: RunningCommand) => unknown }[] = [
      { how: "Ctrl-C", end: ({ child }) => child.kill("SIGINT") },
      { how: "weft down", end: () => cluster.weft("down") },
      { how: "kill -9 of the outer half", end: () => process.kill(cluster.record().pid, "SIGKILL") },
      { how: "kill -9 of the inner half", end: () => process.kill(innerHalf(cluster.record().innerPid), "SIGKILL") },
      { how: "kill -9 of init", end: () => process.kill(cluster.record().innerPid, "SIGKILL") },
    ];
    for (const { how, end } of ends) {
      test(`leaves nothing behind after ${how}`, async () => {
        const traces = readTraces(folders());
        const running = await cluster.runs();
        const { pid } = cluster.record();
        const namespaces = namespacesBelow(pid);
        assert.ok(namespaces.size >= 5, `root, two nodes and outside have network namespaces: ${[...namespaces].join(" ")}`);
        // What this test looks at, it would see.
        assert.ok(newTraces(traces, readTraces(folders())).length > 0 || process.getuid?.() !== 0);
        await end(running);
        await running.result;
        await assertNoTraces(traces);
        assert.deepEqual(processesIn(namespaces), []);
      });
    }

    const signals = ["SIGINT", "SIGTERM", "SIGKILL"] as const;
    for (const [turn, signal] of (isLong ? [...signals, ...signals, ...signals] : signals).entries()) {
      // Anything from the first lines of code to a cluster that runs.
      const afterMs = ((seed >>> 3) * (turn + 1) * 7919 + index * 611) % 2500;
      test(`leaves nothing behind after ${signal} ${afterMs} ms into its start`, async () => {
        const traces = readTraces(folders());
        const running = cluster.up();
        await sleep(afterMs);
        // The supervisor itself: the command may be waiting for it on another Node.
        const supervisor = signal === "SIGKILL" ? [...descendants(String(running.child.pid)), String(running.child.pid)] : [String(running.child.pid)];
        const outer = supervisor.find((each) => isWeftUp(each)) ?? String(running.child.pid);
        if (running.child.exitCode === null) process.kill(Number(outer), signal);
        const { code, stderr } = await running.result;
        if (signal !== "SIGKILL") assert.deepEqual([[0, 128, 130, 143].includes(code), stderr], [true, ""], `status ${code}`);
        await assertNoTraces(traces);
      });
    }

    test("keeps its ports, and leaves nothing when it was left running in the background", async () => {
      const traces = readTraces(folders());
      const detached = await cluster.up("--detach", "--nodes", "3").result;
      assert.equal(detached.code, 0, detached.stderr + detached.stdout);
      assert.match(detached.stdout, /nodes {8}node-1, node-2, node-3 Ready/);
      const { ports } = cluster.record();
      const { stdout } = await cluster.weft("down");
      assert.match(stdout, /ended in [\d.]+s; its state stays in/);
      await assertNoTraces(traces);
      const again = await cluster.runs();
      assert.deepEqual(cluster.record().ports, ports);
      again.child.kill("SIGINT");
      assert.equal((await again.result).code, 0);
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

function isWeftUp(pid: string): boolean {
  try {
    const [program, script, command] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return program?.endsWith("node") === true && script?.endsWith("/weft") === true && command === "up";
  } catch {
    return false;
  }
}
