import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("a program that hides its memory may be traced by nobody of its uid", () => {
  // linux/prctl.h: PR_GET_DUMPABLE is 3. In a process of its own: it cannot be taken back.
  const script = `
    const { hideOwnMemory } = await import(${JSON.stringify(join(import.meta.dirname, "own-memory.ts"))});
    const { libc } = await import(${JSON.stringify(join(import.meta.dirname, "libc.ts"))});
    const before = libc().prctl(3, 0, 0, 0, 0);
    hideOwnMemory();
    process.stdout.write([before, libc().prctl(3, 0, 0, 0, 0)].join(" "));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.deepEqual([stdout.trim(), stderr], ["1 0", ""]);
});
