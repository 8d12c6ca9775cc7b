/** The pod network on a real kernel, as root and as an ordinary user: the programs beside this one do the work in namespaces of their own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { users, type User } from "../cluster/user.ts";

const isLong = process.env["WEFT_TEST_LONG"] === "1";
const programs: readonly { readonly what: string; readonly file: string; readonly least: number; readonly only?: string }[] = [
  { what: "two nodes, pods, services, policies and names work", file: "two-nodes.ts", least: 15 },
  { what: "services are served where and to whom they should be", file: "services.ts", least: 13 },
  { what: "policies are enforced as an independent evaluator has them", file: "policies.ts", least: 3 },
  { what: "a node's agent wires pods that come and go, and nothing passes before their policies", file: "one-node.ts", least: 4 },
  { what: "who answers names needs no right to port 53, and policies do not notice", file: "names-port.ts", least: 13 },
  // An ordinary user has one uid.
  { what: "a proxy of Kubernetes is known by its uid", file: "proxy-uid.ts", least: 4, only: "root" },
];

for (const { name, make } of users) {
  describe(`the pod network of ${name}`, () => {
    let user: User;
    before(() => {
      user = make();
    });
    after(() => user.cleanUp());

    for (const { what, file, least } of programs.filter(({ only }) => only === undefined || only === name)) {
      const timeout = isLong ? 900_000 : 180_000;
      test(what, { timeout }, () => {
        const unshare = [
          "unshare",
          ...(name === "root" ? [] : ["--user", "--map-root-user"]),
          ...["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"],
        ];
        const node = [process.execPath, "--test-reporter=tap", join(user.checkout, "test/netns", file)];
        const [program = "", ...args] = [...user.prefix, ...unshare, ...node];
        const chosen = Object.fromEntries(
          ["WEFT_TEST_LONG", "WEFT_TEST_SEED"].flatMap((key) => (process.env[key] === undefined ? [] : [[key, process.env[key]]])),
        );
        const result = spawnSync(program, args, {
          cwd: user.checkout,
          env: { ...user.env, ...chosen },
          encoding: "utf8",
          timeout: timeout - 5000,
          killSignal: "SIGKILL",
        });
        const words = `${result.stdout}\n${result.stderr}`;
        assert.equal(result.status, 0, words);
        assert.doesNotMatch(result.stdout, /^not ok/m, words);
        const passed = [...result.stdout.matchAll(/^ok \d+/gm)].length;
        assert.ok(passed >= least, `only ${passed} of at least ${least} tests ran:\n${words}`);
      });
    }
  });
}
