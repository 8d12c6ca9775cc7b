/**
 * Nothing gets out of a pod: as uid 0, 1337 and 65534, in a cluster of root and of an ordinary user, started as a
 * container and by exec. A control shows that each attempt works where there is no sandbox, so that a typing mistake in
 * an attempt does not pass for safety.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { users, type User } from "../cluster/user.ts";
import { attempts } from "./escape/attempts.ts";
import type { Findings } from "./escape/inside.ts";

/** The tmpfs dies with the namespaces, and so does everything started in them. */
const surroundings = 'mount -t tmpfs -o mode=755 none /run && ip link set lo up && mkdir -m 755 /run/pods && exec "$0" "$1" /run/pods "$2"';

for (const { name: who, make } of users) {
  describe(`a pod in a cluster of ${who}`, () => {
    let user: User;
    let findings: Findings;
    const kind = who === "root" ? "root" : "ordinary";

    before(() => {
      user = make();
      const namespaces = [
        "unshare",
        ...(kind === "root" ? [] : ["--user", "--map-root-user"]),
        "--mount",
        "--pid",
        "--net",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
      ];
      const node = [process.execPath.startsWith(user.checkout) ? process.execPath : "node", join(user.checkout, "test/pods/escape/inside.ts"), kind];
      const [program = "", ...args] = [...user.prefix, ...namespaces, "sh", "-c", surroundings, ...node];
      const path = `${join(user.checkout, "node_modules/.bin")}:/usr/sbin:/usr/bin:/sbin:/bin`;
      // A file that whoever started the cluster had open: it must not come as far as a pod.
      const stray = openSync("/etc/hostname", "r");
      const stdio = ["ignore", "pipe", "pipe", stray] as const;
      const done = spawnSync(program, args, {
        encoding: "utf8",
        stdio: [...stdio],
        timeout: 120_000,
        killSignal: "SIGKILL",
        env: { ...user.env, PATH: path },
        cwd: "/",
      });
      closeSync(stray);
      assert.equal(done.status, 0, `the surroundings could not be made: ${done.stderr}`);
      findings = JSON.parse(done.stdout) as Findings;
    });
    after(() => user.cleanUp());

    for (const run of ["0 start", "0 exec", "1337 start", "1337 exec", "65534 start", "65534 exec"]) {
      test(`as uid ${run.replace(" start", ", started").replace(" exec", ", by exec")}, gets nothing`, () => {
        const statuses = findings.runs[run] ?? [];
        assert.equal(statuses.length, attempts.length, "every attempt was made");
        const escapes = attempts.filter((_, index) => statuses[index] === 0).map(({ name }) => name);
        assert.deepEqual(escapes, []);
      });
    }

    test("leaves its neighbour alive", () => assert.ok(findings.neighbourLives));

    test("would get it all without the sandbox", () => {
      const statuses = findings.runs["control"] ?? [];
      const failed = attempts.filter(({ control }, index) => control[kind] === true && statuses[index] !== 0).map(({ name }) => name);
      assert.deepEqual(failed, [], "attempts that prove nothing, because they fail in any case");
    });
  });
}
