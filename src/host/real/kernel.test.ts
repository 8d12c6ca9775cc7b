/** The kernel's part of the contract, in namespaces of its own: as root, and as a user without any rights. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { getuid } from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const suite = fileURLToPath(new URL("test-kernel.ts", import.meta.url));
const NOBODY = "65534";

function run(command: readonly string[]): Promise<{ code: number | null; output: string }> {
  const [program = "", ...args] = command;
  // The suite is a test run of its own, not a part of ours.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve) => {
    const child = spawn(program, [...args, process.execPath, "--test-reporter=tap", suite], {
      env: { ...env, TMPDIR: "/tmp" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (text: Buffer) => (output += text.toString()));
    child.stderr.on("data", (text: Buffer) => (output += text.toString()));
    child.on("error", (error) => resolve({ code: null, output: error.message }));
    child.on("close", (code) => resolve({ code, output }));
  });
}

test("namespaces and netlink as root", { skip: getuid?.() === 0 ? false : "needs root", timeout: 60_000 }, async () => {
  const { code, output } = await run(["unshare", "-mn"]);
  assert.equal(code, 0, output);
});

test("namespaces and netlink as an ordinary user", { timeout: 60_000 }, async () => {
  const become = getuid?.() === 0 ? ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"] : [];
  const { code, output } = await run([...become, "unshare", "-Urmn"]);
  assert.equal(code, 0, output);
});
