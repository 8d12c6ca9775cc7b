/** The blocks of README.md that are marked `sh weft` run, in their order, as they stand. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { users, type User } from "./user.ts";
import { weft } from "./weft.ts";

const BLOCK_MS = 120_000;
const ordinary = users.at(-1);

describe("the five minutes of the README", () => {
  let user: User;
  /** A number only when another program has the usual port. */
  let port = "18080";
  before(() => {
    assert.ok(ordinary !== undefined);
    user = ordinary.make();
  });
  after(async () => {
    await weft(user, ["down"]);
    user.cleanUp();
  });

  const text = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  for (const [, block = ""] of text.matchAll(/```sh weft\n([^]*?)```/g)) {
    test(block.split("\n")[0] ?? block, { timeout: BLOCK_MS }, () => {
      const script = block.replaceAll("127.0.0.1:18080", `127.0.0.1:${port}`);
      // The command of the checkout is found by whatever Node the machine has; tests have theirs in front.
      const env = { ...user.env, PATH: `${join(user.checkout, "node_modules/.bin")}:${user.env["PATH"] ?? ""}` };
      const [program, ...args] = [...user.prefix, "bash", "-euo", "pipefail", "-c", script];
      const result = spawnSync(program, args, { cwd: user.checkout, env, encoding: "utf8", timeout: BLOCK_MS });
      assert.equal(result.status, 0, `${script}\n${result.stdout}${result.stderr}`);
      port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(result.stdout)?.[1] ?? port;
    });
  }
});
