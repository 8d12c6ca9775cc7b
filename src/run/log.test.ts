import assert from "node:assert/strict";
import { test } from "node:test";
import { HostError } from "#host/host-error.ts";
import { createLog } from "./log.ts";

const clock = { now: () => Date.UTC(2026, 0, 1, 12, 0, 0, 250) };

function capture(options: { human?: boolean; level?: "debug" | "warn" } = {}): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog({ program: "agent", clock, write: (line) => lines.push(line), ...options }) };
}

test("a line is one JSON object with time, level, program, message and object", () => {
  const { lines, log } = capture();
  log.with({ object: "Pod default/a" }).info("started", { pid: 7 });
  assert.deepEqual(lines, ['{"time":"2026-01-01T12:00:00.250Z","level":"info","program":"agent","msg":"started","object":"Pod default/a","pid":7}\n']);
});

test("errors carry their code and their causes", () => {
  const { lines, log } = capture();
  log.error("cannot start", { error: new HostError("ENOENT", "/x", "no such file", { cause: new Error("disk gone") }) });
  assert.equal((JSON.parse(lines[0] ?? "") as { error: string }).error, "/x: no such file (ENOENT): disk gone");
});

test("levels below the least are dropped", () => {
  const { lines, log } = capture({ level: "warn" });
  log.info("no");
  log.warn("yes");
  assert.equal(lines.length, 1);
});

test("people get text", () => {
  const { lines, log } = capture({ human: true });
  log.warn("slow", { object: "Node a", ms: 12 });
  assert.deepEqual(lines, ["12:00:00.250 warn  agent: slow [Node a] ms=12\n"]);
});
