import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeWorld } from "#host/fake/world.ts";
import { silentLog } from "./log.ts";
import { Parts, runProgram } from "./program.ts";

test("parts stop in reverse order, and one that hangs or fails does not keep the others", async () => {
  const world = new FakeWorld();
  const parts = new Parts({ clock: world.clock, log: silentLog });
  const stopped: string[] = [];
  parts.closing("first", () => void stopped.push("first"));
  parts.add("hangs", { stop: () => new Promise(() => undefined) });
  parts.closing("fails", () => {
    throw new Error("cannot");
  });
  parts.closing("last", () => void stopped.push("last"));
  await world.drive(parts.stop());
  assert.deepEqual(stopped, ["last", "first"]);
  assert.equal(world.elapsedMs, 5_000);
});

test("SIGTERM stops in order and exits 0; a second signal exits at once; a failed start exits 1", async () => {
  const listeners = new Map<string, (cause: unknown) => void>();
  const exits: number[] = [];
  const process = { on: (event: string, listener: (cause: unknown) => void) => listeners.set(event, listener), exit: (code: number) => void exits.push(code) };
  let finish = (): void => undefined;
  await runProgram(process, silentLog, async () => ({ stop: () => new Promise((resolve) => (finish = resolve)) }));
  listeners.get("SIGTERM")?.("SIGTERM");
  assert.deepEqual(exits, []);
  listeners.get("SIGINT")?.("SIGINT");
  assert.deepEqual(exits, [1]);
  finish();
  await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual(exits, [1, 0]);
  await runProgram(process, silentLog, async () => Promise.reject(new Error("no")));
  assert.deepEqual(exits, [1, 0, 1]);
});
