import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root, runCommand } from "#tools/run-command.ts";

const skip = existsSync(join(root, ".git")) ? false : "this is no clone, so there is no commit to make images of";

/** Two images take half a minute. */
const isLong = process.env["WEFT_TEST_LONG"] !== undefined;

if (isLong) test("two clones of one commit give the same image, byte by byte", { skip, timeout: 300_000 }, sameBytes);

async function sameBytes(): Promise<void> {
  // Beside node_modules, whose files can then be linked and not copied.
  mkdirSync(join(root, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(root, ".cache/clones-"));
  const run = async (...command: [string, ...string[]]): Promise<void> => {
    const { status, output } = await runCommand(command);
    assert.equal(status, 0, `${command.join(" ")}: ${output}`);
  };
  try {
    const digests: string[] = [];
    for (const name of ["one", "another-with-a-longer-name"]) {
      const clone = join(folder, name);
      await run("git", "clone", "--quiet", root, clone);
      await run("cp", "-al", join(root, "node_modules"), join(clone, "node_modules"));
      await run(process.execPath, join(clone, "tools/setup.cjs"), "image", "--output", join(folder, `${name}.tar`));
      digests.push(
        createHash("sha256")
          .update(readFileSync(join(folder, `${name}.tar`)))
          .digest("hex"),
      );
    }
    assert.equal(digests[0], digests[1]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
