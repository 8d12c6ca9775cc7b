/** What people type at a cluster that runs: enter, status, kubeconfig, a second up; as root and as an ordinary user. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { uniqueName } from "./unique-name.ts";
import { StandInCluster } from "./stand-in-cluster.ts";
import { namespacesBelow, processesIn } from "./traces.ts";
import { users, type User } from "./user.ts";
import { startWeft, type CommandResult, type RunningCommand } from "./weft.ts";

const PATIENCE_MS = 30_000;
const hasScript = spawnSync("script", ["--version"]).status === 0;

for (const [index, { name: who, make }] of users.entries()) {
  let user: User;
  let cluster: StandInCluster;
  let running: RunningCommand;
  const enter = (...args: string[]): Promise<CommandResult> => cluster.weft("enter", ...args);
  /** Processes in the cluster whose command line has the text. */
  const inside = (text: string): readonly string[] => processesIn(namespacesBelow(cluster.record().pid)).filter((pid) => commandLine(pid).includes(text));
  const gone = async (text: string): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    while (inside(text).length > 0 && Date.now() < deadline) await sleep(50);
    assert.deepEqual(inside(text).map(commandLine), []);
  };

  describe(`at a cluster of ${who}`, () => {
    before(async () => {
      user = make();
      cluster = new StandInCluster(user, uniqueName("commands"));
      running = await cluster.runs();
    });
    after(async () => {
      await cluster.remove();
      user.cleanUp();
    });

    test("enter reaches the network of a node and of a machine outside", async () => {
      const node = await enter("node-2", "--", "ip", "-br", "addr");
      assert.match(node.stdout, /eth0@\S+\s+UP\s+192\.168\.99\.12\/24/, node.stderr);
      assert.match((await enter("outside", "--", "ip", "-br", "addr")).stdout, /192\.168\.99\.9\/24/);
      assert.match((await enter("--", "ip", "-br", "link")).stdout, /underlay/);
    });

    test("enter resolves names as the place does", async () => {
      assert.match((await enter("node-1", "--", "cat", "/etc/resolv.conf")).stdout, /^nameserver 10\.96\.0\.10\n/);
      assert.match((await enter("outside", "--", "cat", "/etc/resolv.conf")).stdout, /^nameserver 192\.168\.99\.1\n/);
    });

    test("enter passes the status, the input and the output on", async () => {
      assert.equal((await enter("outside", "--", "sh", "-c", "exit 7")).code, 7);
      const missing = await enter("outside", "--", "no-such-program");
      assert.deepEqual([missing.code, missing.stderr], [127, 'weft: this machine has no program "no-such-program"\n']);
      const nobody = await enter("nobody", "--", "true");
      assert.equal(nobody.code, 2);
      assert.match(nobody.stderr, /"nobody" is no node and no pod of namespace default; there are: node-1, node-2, outside/);
      const cat = startWeft(user, ["enter", "--name", cluster.name, "outside", "--", "cat"], { stdin: "through\n" });
      assert.deepEqual([(await cat.result).stdout, (await cat.result).code], ["through\n", 0]);
    });

    test("a signal to enter goes to its command, which may take its time", async () => {
      const command = startWeft(user, [
        "enter",
        "--name",
        cluster.name,
        "node-1",
        "--",
        "sh",
        "-c",
        "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done",
      ]);
      await command.until(/up\n/, PATIENCE_MS);
      command.child.kill("SIGTERM");
      assert.deepEqual(await command.result, { code: 5, stdout: "up\nbye\n", stderr: "" });
    });

    test("Ctrl-C on a terminal is the command's to handle", { skip: hasScript ? false : "no `script` here: apt-get install bsdutils" }, async () => {
      const command = "sh -c 'trap \"echo bye; exit 9\" INT; echo up; sleep 60 & wait'";
      const line = ["exec", process.execPath, join(user.checkout, "weft"), "enter", "--name", cluster.name, "outside", "--", command].join(" ");
      const [program, ...args] = [...user.prefix, "script", "--quiet", "--return", "--command", line, "/dev/null"];
      const child = spawn(program, args, { env: user.env, cwd: user.checkout, stdio: ["pipe", "pipe", "inherit"] });
      let said = "";
      child.stdout.on("data", (bytes: Buffer) => {
        said += bytes.toString();
        if (bytes.toString().includes("up")) child.stdin.write("\x03");
      });
      const code = await new Promise((resolve) => child.on("close", resolve));
      assert.match(said, /bye/);
      assert.equal(code, 9);
    });

    test("the command of an enter that is killed dies too", async () => {
      const text = `echo up; exec sleep 98765.${index}`;
      const command = startWeft(user, ["enter", "--name", cluster.name, "node-1", "--", "sh", "-c", text]);
      await command.until(/up\n/, PATIENCE_MS);
      assert.equal(inside(`sleep 98765.${index}`).length > 0, true);
      command.child.kill("SIGKILL");
      await gone(`sleep 98765.${index}`);
    });

    test("a program that ends is started again", async () => {
      const [control] = inside("stand-ins/control.ts");
      assert.ok(control !== undefined);
      process.kill(Number(control), "SIGKILL");
      await running.until(/control +ended \(SIGKILL\): .*; starting it again; its log: \S+control\.log/, PATIENCE_MS);
      const deadline = Date.now() + PATIENCE_MS;
      while ((await cluster.weft("status")).code !== 0) assert.ok(Date.now() < deadline, "the API is back");
    });

    test("status tells what is true, for people and for programs", async () => {
      const status = await cluster.weft("status");
      assert.match(status.stdout, /^cluster commands\S+ +up \d+s +2 nodes +0 of 0 pods Ready/);
      const json = JSON.parse((await cluster.weft("status", "-o", "json")).stdout) as { ready: boolean; nodes: readonly { name: string; ready: boolean }[] };
      assert.deepEqual([json.ready, ...json.nodes.map((node) => [node.name, node.ready])], [true, ["node-1", true], ["node-2", true]]);
    });

    test("a second one of its name is refused; with files it applies them, and names what cannot be applied", async () => {
      const second = await cluster.up().result;
      assert.equal(second.code, 1);
      assert.match(second.stderr, /^weft: cluster "\S+" is running already \(pid \d+\); look: {2}weft status --name \S+ {3}end it: {2}weft down --name \S+\n$/);
      const files = await cluster.up("-f", "test/cluster/testdata/one-bad-in-four.yaml").result;
      assert.equal(files.code, 1);
      assert.match(files.stdout, /runs already; applied 1 object; 3 not, see above\n$/);
      assert.match(files.stderr, /one-bad-in-four\.yaml:7: no matches for kind "Gizmo" in version "example\.org\/v1"\n/);
      assert.match(files.stderr, /one-bad-in-four\.yaml:12: ConfigMap refused: data: Invalid value/);
      assert.match(files.stderr, /one-bad-in-four\.yaml:2[0-9]: .*\n/);
    });

    test("kubeconfig tells where it is", async () => {
      const { stdout } = await cluster.weft("kubeconfig");
      assert.match(readFileSync(stdout.trim(), "utf8"), new RegExp(`https://127\\.0\\.0\\.1:${cluster.record().ports.api}`));
    });
  });
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
