/** The pod network on a real kernel, as root and as an ordinary user: two-nodes.ts does the work in namespaces of its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { users } from "../cluster/user.ts";

for (const { name, make } of users) {
  test(`two nodes, pods, services, policies and names work as ${name}`, { timeout: 120_000 }, (context) => {
    const user = make();
    try {
      const unshare = [
        "unshare",
        ...(name === "root" ? [] : ["--user", "--map-root-user"]),
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
      ];
      const [program, ...args] = [...user.prefix, ...unshare, process.execPath, "--test-reporter=spec", join(user.checkout, "test/netns/two-nodes.ts")];
      const result = spawnSync(program ?? "", args, { cwd: user.checkout, env: user.env, encoding: "utf8", timeout: 110_000 });
      context.diagnostic(
        result.stdout
          .split("\n")
          .filter((line) => /^ℹ (tests|pass|fail)/.test(line))
          .join(" "),
      );
      assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
    } finally {
      user.cleanUp();
    }
  });
}
