import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { launcher } from "./launcher.ts";
import { sharedFiles } from "./shared-libraries.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-launcher-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const skip = process.arch === "x64" ? false : "the launcher is a program for x86-64";

test("the launcher becomes the program, with the given arguments, its own environment and input", { skip }, () => {
  const path = join(folder, "launcher");
  const script = 'process.stdout.write(JSON.stringify([process.argv.slice(1), process.env.CNI_COMMAND, require("fs").readFileSync(0, "utf8")]))';
  writeFileSync(path, launcher({ program: process.execPath, args: ["-e", script, "one", "two words"], failure: "" }), { mode: 0o755 });
  const { stdout, status } = spawnSync(path, ["dropped"], { env: { CNI_COMMAND: "ADD" }, input: "{}", encoding: "utf8" });
  assert.deepEqual(JSON.parse(stdout), [["one", "two words"], "ADD", "{}"]);
  assert.equal(status, 0);
});

test("the launcher says why when there is no such program", { skip }, () => {
  const path = join(folder, "lost");
  writeFileSync(path, launcher({ program: join(folder, "absent"), args: [], failure: "no program\n" }), { mode: 0o755 });
  const { stdout, status } = spawnSync(path, [], { encoding: "utf8" });
  assert.deepEqual([stdout, status], ["no program\n", 1]);
});

test("a program's libraries are found through the libraries that need them", { skip }, () => {
  const { interpreter, libraries } = sharedFiles(process.execPath);
  assert.match(String(interpreter), /^\/lib.*\/ld-/);
  for (const name of ["libc.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libm.so.6"]) assert.ok(libraries.has(name), name);
});
