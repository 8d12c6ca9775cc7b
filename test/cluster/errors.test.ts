/** Whatever is wrong is said in one paragraph: what, why, and what to do; with a status that scripts can use. */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { spawnSync } from "node:child_process";
import { uniqueName } from "./unique-name.ts";
import { START_MS, StandInCluster } from "./stand-in-cluster.ts";
import { users, type User } from "./user.ts";
import { weft, type CommandResult } from "./weft.ts";

describe("weft says what is wrong", () => {
  let user: User;
  let cluster: StandInCluster;
  let folder: string;
  before(() => {
    const ordinary = users.at(-1);
    assert.ok(ordinary !== undefined);
    user = ordinary.make();
    cluster = new StandInCluster(user, uniqueName("errors"));
    folder = mkdtempSync(join(tmpdir(), "weft-errors-"));
    chmodSync(folder, 0o755);
  });
  after(async () => {
    await cluster.remove();
    user.cleanUp();
    rmSync(folder, { recursive: true, force: true });
  });
  const file = (name: string, text: string, mode = 0o644): string => {
    const path = join(folder, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const fails = (result: CommandResult, code: number, stderr: RegExp): void => {
    assert.match(result.stderr, stderr);
    assert.deepEqual([result.code, result.stdout], [code, ""]);
  };

  const typed: readonly { readonly args: readonly string[]; readonly code: number; readonly stderr: RegExp }[] = [
    { args: ["upp"], code: 2, stderr: /^weft: unknown command 'upp'\n\(Did you mean up\?\)\n/ },
    { args: ["up", "--bogus"], code: 2, stderr: /^weft: unknown option '--bogus'\n\(weft up --help shows its options\)\n$/ },
    { args: ["up", "--nodes", "many"], code: 2, stderr: /^weft: --nodes must be a number from 1 to 229\n$/ },
    { args: ["up", "--name", "No_Name"], code: 2, stderr: /^weft: cluster name "No_Name" must be lower case letters/ },
    { args: ["up", "-f", "nowhere.yaml"], code: 1, stderr: /^weft: -f nowhere\.yaml: no such file or folder\n$/ },
    { args: ["status", "--name", "none"], code: 2, stderr: /^weft: cluster "none" is not running; start it: {2}weft up --name none\n$/ },
    { args: ["status", "-o", "yaml"], code: 2, stderr: /^weft: -o yaml is not known; there is: json\n$/ },
    { args: ["flows", "--verdict", "allowed"], code: 2, stderr: /^weft: --verdict allowed is not known; there is: dropped/ },
    { args: ["enter", "--name", "none", "node-1"], code: 2, stderr: /is not running; start it/ },
    { args: ["kubeconfig", "--name", "none"], code: 2, stderr: /^weft: cluster "none" was never started; start it: {2}weft up --name none\n$/ },
    { args: ["completion", "tcsh"], code: 2, stderr: /^weft: no completion for "tcsh"; there is: bash, zsh, fish\n$/ },
    { args: ["proxy", "-c", "nowhere.yaml"], code: 1, stderr: /nowhere\.yaml: ENOENT/ },
  ];
  for (const { args, code, stderr } of typed) test(`weft ${args.join(" ")}`, async () => fails(await weft(user, args), code, stderr));

  test("down of none is done already", async () => {
    assert.deepEqual(await weft(user, ["down", "--name", "none"]), { code: 0, stdout: 'cluster "none" is not running\n', stderr: "" });
  });

  test("a ClusterConfig that means nothing keeps the cluster from starting", async () => {
    const config = file("config.yaml", "apiVersion: weft.dev/v1alpha1\nkind: ClusterConfig\nspec:\n  images:\n    - match: a\n      comand: [b]\n");
    fails(
      await cluster.up("-f", config).result,
      1,
      /config\.yaml:1: ClusterConfig: unknown field "spec\.images\[0\]\.comand"\n +\S+config\.yaml:1: ClusterConfig: spec\.images\[0\]\.command: Required value/,
    );
  });

  test("a machine that forbids user namespaces", async () => {
    const unshare = file("bin/unshare", '#!/bin/sh\necho "unshare: unshare failed: Operation not permitted" >&2\nexit 1\n', 0o755);
    const refused = await weft(user, ["up", "--name", cluster.name], { env: { PATH: `${join(unshare, "..")}:${user.env["PATH"] ?? ""}` } });
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /^weft: this machine forbids user namespaces to ordinary users \(.*\)\.\n +(Run once: {2}sudo sysctl -w|In a container, run it with)/,
    );
  });

  test("state of another Weft, and state that is broken", async () => {
    mkdirSync(cluster.stateDir, { recursive: true });
    const own = (name: string, text: string): void => {
      writeFileSync(join(cluster.stateDir, name), text);
      spawnSync("chown", ["-R", `${user.uid}:${user.uid}`, join(cluster.stateDir, "..")]);
    };
    own("schema", "99\n");
    fails(await cluster.up().result, 2, /has schema 99, this Weft knows 1; use the Weft that wrote it, or forget the state with --fresh\n$/);
    own("schema", "1\n");
    own("images.json", "{");
    fails(
      await cluster.up().result,
      1,
      /images\.json is broken \(.*\); remove it and give the images again with -f, or forget all of the state with --fresh\n$/,
    );
    rmSync(cluster.stateDir, { recursive: true });
  });

  test("ports that others have: the next free ones are taken, and told", async () => {
    const taken: Server[] = [];
    const occupy = (): Promise<number> =>
      new Promise((resolve) => {
        const server = createServer().listen(0, "127.0.0.1", () => {
          const address = server.address();
          resolve(typeof address === "object" && address !== null ? address.port : 0);
        });
        taken.push(server);
      });
    const remembered = { api: await occupy(), http: await occupy(), https: await occupy() };
    mkdirSync(cluster.stateDir, { recursive: true });
    writeFileSync(join(cluster.stateDir, "supervisor.json"), JSON.stringify({ pid: 0, startTime: "", nodes: ["node-1"], ports: remembered }));
    spawnSync("chown", ["-R", `${user.uid}:${user.uid}`, user.home]);
    const running = await cluster.runs();
    const { ports } = cluster.record();
    for (const port of Object.values(ports)) assert.ok(!Object.values(remembered).includes(port), JSON.stringify({ ports, remembered }));
    assert.match(running.output(), new RegExp(`api +https://127\\.0\\.0\\.1:${ports.api}\n`));
    running.child.kill("SIGINT");
    await running.result;
    for (const server of taken) server.close();
  });

  test("a program that cannot start: its last words, and no minute of waiting", async () => {
    file("programs/control.ts", 'throw new TypeError("the dog ate it");\n');
    for (const name of ["agent", "pods"]) file(`programs/${name}.ts`, "setInterval(() => undefined, 1000);\n");
    const before = performance.now();
    const result = await weft(user, ["up", "--name", cluster.name, "--programs", join(folder, "programs")]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^weft: control ended \(status 1\), \d+ times now: TypeError: the dog ate it\n +its log: \S+control\.log\n$/);
    assert.ok(performance.now() - before < START_MS);
  });

  test("a checkout that is not ready: the line to run", () => {
    const checkout = join(folder, "checkout");
    mkdirSync(checkout, { recursive: true });
    copyFileSync(join(user.checkout, "weft"), join(checkout, "weft"));
    const run = (): string => spawnSync(process.execPath, [join(checkout, "weft"), "status"], { encoding: "utf8" }).stderr;
    assert.equal(run(), `weft: dependencies are not installed; run:  cd ${checkout} && npm ci\n`);
    mkdirSync(join(checkout, "node_modules/commander"), { recursive: true });
    assert.equal(run(), `weft: Envoy's types are not generated; run:  cd ${checkout} && npm run generate\n`);
  });
});
