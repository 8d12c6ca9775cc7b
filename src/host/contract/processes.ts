/** What every Host.Processes does; the programs used are those that a fake host has too (true, false, echo, cat, sleep, env). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChildProcess, ExitStatus, SpawnOptions } from "#host/processes.ts";
import type { Subject } from "./subject.ts";

/** Starts a child and collects what it says until it ends. */
function start(
  subject: Subject,
  options: Partial<SpawnOptions> & Pick<SpawnOptions, "command">,
): { child: ChildProcess; ended: Promise<{ status: ExitStatus; text: string }> } {
  const said: Uint8Array[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<{ status: ExitStatus; text: string }>();
  const child = subject.host.processes.spawn({
    env: { PATH: "/usr/bin:/bin" },
    output: { onStdout: (bytes) => said.push(bytes.slice()), onStderr: (bytes) => said.push(bytes.slice()) },
    onExit: (status) => resolve({ status, text: Buffer.concat(said).toString() }),
    ...options,
  });
  return { child, ended };
}

export function processesContract(make: () => Promise<Subject>): void {
  const cases: Record<string, (subject: Subject) => Promise<void>> = {
    "output comes before the exit status": async (subject) => {
      const { child, ended } = start(subject, { command: ["echo", "hello", "there"] });
      assert.ok(child.pid > 0);
      assert.deepEqual(await ended, { status: { code: 0, signal: undefined }, text: "hello there\n" });
    },
    "stdin reaches the child, and its end does": async (subject) => {
      const { child, ended } = start(subject, { command: ["cat"], stdin: "pipe" });
      child.writeStdin(Buffer.from("one "));
      child.writeStdin(Buffer.from("two"));
      child.endStdin();
      assert.equal((await ended).text, "one two");
    },
    "a signal ends the child, and its name is the status": async (subject) => {
      const { child, ended } = start(subject, { command: ["sleep", "100"] });
      child.kill("SIGTERM");
      assert.deepEqual((await ended).status, { code: undefined, signal: "SIGTERM" });
      assert.equal(subject.host.processes.signal(child.pid, 0), false);
    },
    "signal 0 asks whether a process lives": async (subject) => {
      const { child, ended } = start(subject, { command: ["sleep", "100"] });
      assert.equal(subject.host.processes.signal(child.pid, 0), true);
      assert.equal(subject.host.processes.signal(child.pid, 9), true);
      assert.deepEqual((await ended).status, { code: undefined, signal: "SIGKILL" });
    },
    "output may go to a file, after what is there": async (subject) => {
      const file = `${subject.folder}/log`;
      for (const word of ["first", "second"]) await start(subject, { command: ["echo", word], output: { file } }).ended;
      assert.equal(await subject.host.files.readText(file), "first\nsecond\n");
    },
    "the environment is the given one and nothing else": async (subject) => {
      const { ended } = start(subject, { command: ["env"], env: { ONLY: "this", PATH: "/usr/bin:/bin" } });
      assert.deepEqual((await ended).text.trim().split("\n").sort(), ["ONLY=this", "PATH=/usr/bin:/bin"]);
    },
    "a program that is not there is named at once": async (subject) => {
      assert.throws(() => start(subject, { command: ["/no/such/program"] }), { name: "HostError", code: "ENOENT", message: /no\/such\/program/ });
      await assert.rejects(subject.host.processes.run(["no-such-program-at-all"]), { name: "HostError", code: "ENOENT" });
    },
    "run returns status and output, and does not reject for a status": async ({ host }) => {
      assert.deepEqual(await host.processes.run(["cat"], { stdin: "text" }), { code: 0, stdout: "text", stderr: "" });
      assert.equal((await host.processes.run(["false"])).code, 1);
    },
    "run gives up after its time": async ({ host }) => {
      await assert.rejects(host.processes.run(["sleep", "100"], { timeoutMs: 50 }), { name: "HostError", code: "ETIMEDOUT" });
    },
  };
  describe("processes", () => {
    for (const [name, run] of Object.entries(cases)) {
      test(name, { timeout: 30_000 }, async () => {
        const subject = await make();
        try {
          await subject.settle(run(subject));
        } finally {
          await subject.close();
        }
      });
    }
  });
}
