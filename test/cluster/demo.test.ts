/** `npm run demo:once` holds what it promises, as root and as an ordinary user. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { uniqueName } from "./unique-name.ts";
import { users, type User } from "./user.ts";

const TIMEOUT_MS = 240_000;

function run(user: User, cluster: string): Promise<{ readonly code: number; readonly output: string }> {
  const [program, ...args] = [...user.prefix, process.execPath, join(user.checkout, "tools/demo.ts"), "--once"];
  const child = spawn(program, args, { env: { ...user.env, WEFT_DEMO_CLUSTER: cluster }, cwd: user.checkout, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const collect = (bytes: Buffer): void => {
    output += bytes.toString();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const timer = setTimeout(() => child.kill("SIGTERM"), TIMEOUT_MS);
  return new Promise((resolve) =>
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 128, output });
    }),
  );
}

for (const { name, make } of users) {
  test(`the demo holds for ${name}`, { timeout: TIMEOUT_MS + 20_000 }, async (t) => {
    const user = make();
    const cluster = uniqueName("demo");
    t.after(() => {
      user.cleanUp();
      // What a demo that failed keeps stands in the output's last lines; an ordinary user's went with its home.
      if (process.getuid?.() === 0) rmSync(join("/var/lib/weft", cluster), { recursive: true, force: true });
    });
    const { code, output } = await run(user, cluster);
    assert.equal(code, 0, output);
    assert.match(output, /\nPASS {2}all of it held/);
  });
}
