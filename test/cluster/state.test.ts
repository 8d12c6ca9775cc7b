/**
 * What a cluster keeps between two runs, and what it must not: with its real programs, as root and as an ordinary user.
 * Nothing of its pods, their networks and their mounts stays on the machine.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openRunningCluster } from "#cli/running-cluster.ts";
import { realHost } from "#host/real/real.ts";
import type { ConfigMap, Node, Pod } from "#model/core.ts";
import { runAlone } from "./alone.ts";
import { uniqueName } from "./unique-name.ts";
import { terminalOf } from "./terminal.ts";
import { newTraces, readTraces } from "./traces.ts";
import { users, type User } from "./user.ts";
import { weft, type CommandResult } from "./weft.ts";

runAlone(import.meta.filename);

const PATIENCE_MS = 20_000;
const KEPT = "test/cluster/testdata/kept.yaml";

for (const { name: who, make } of users) {
  const name = uniqueName("state");
  let user: User;
  let traces: readonly string[];
  const run = (...args: readonly string[]): Promise<CommandResult> => weft(user, [...args, "--name", name]);
  const up = async (...args: readonly string[]): Promise<void> => {
    const { code, stdout, stderr } = await run("up", "--detach", ...args);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /pods +3 of 3 Ready/);
  };
  const open = (): ReturnType<typeof openRunningCluster> => openRunningCluster({ host: realHost(), terminal: terminalOf(user) }, name);
  const assertNoTraces = async (): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    const left = (): readonly string[] => newTraces(traces, readTraces([user.env["TMPDIR"] ?? ""]));
    while (left().length > 0 && Date.now() < deadline) await sleep(100);
    assert.deepEqual(left(), []);
  };
  /** All nodes and pods say that they were seen since the cluster started. */
  const assertFresh = async (nodeNames: readonly string[]): Promise<void> => {
    const { api, record } = await open();
    // Kubernetes' times have seconds.
    const since = Math.floor(Date.parse(record.startedAt) / 1000) * 1000;
    const nodes = await api.list<Node>("/api/v1/nodes");
    assert.deepEqual(nodes.map((node) => node.metadata.name).toSorted(), nodeNames);
    for (const node of nodes) {
      const ready = node.status?.conditions?.find(({ type }) => type === "Ready");
      assert.ok(Date.parse(ready?.lastHeartbeatTime ?? "") >= since, `${node.metadata.name}: ${JSON.stringify(ready)}`);
    }
    const pods = await api.list<Pod>("/api/v1/pods");
    assert.equal(pods.length, 3);
    for (const pod of pods) {
      assert.ok(nodeNames.includes(pod.spec.nodeName ?? ""), pod.spec.nodeName);
      for (const { state } of pod.status?.containerStatuses ?? [])
        assert.ok(Date.parse(state?.running?.startedAt ?? "") >= since, `${pod.metadata.name}: ${JSON.stringify(state)}`);
    }
  };

  describe(`the state of a cluster of ${who}`, () => {
    before(() => {
      user = make();
      traces = readTraces([user.env["TMPDIR"] ?? ""]);
    });
    after(async () => {
      await run("down");
      const folder = dirname((await run("kubeconfig")).stdout.trim());
      if (folder.endsWith(name)) for (const path of [folder, `${folder}.up.log`]) rmSync(path, { recursive: true, force: true });
      user.cleanUp();
    });

    test("a cluster with pods leaves nothing on the machine", async () => {
      await up("-f", KEPT);
      await assertFresh(["node-1", "node-2"]);
      await run("down");
      await assertNoTraces();
    });

    test("objects and images are there again, and nothing counts as Ready that was so before", async () => {
      await up();
      await assertFresh(["node-1", "node-2"]);
      const { api } = await open();
      assert.equal((await api.get<ConfigMap>("/api/v1/namespaces/default/configmaps/kept")).data?.["word"], "remembered");
    });

    test("also after kill -9; pods of a node that is not there any more move", async () => {
      process.kill((await open()).record.pid, "SIGKILL");
      await assertNoTraces();
      await up("--nodes", "1");
      await assertFresh(["node-1"]);
      await run("down");
    });

    test("--fresh forgets", async () => {
      const { code, stdout, stderr } = await run("up", "--detach", "--fresh");
      assert.equal(code, 0, stdout + stderr);
      assert.match(stdout, /nodes +node-1, node-2 Ready\n/);
      const { api } = await open();
      assert.equal((await api.request("GET", "/api/v1/namespaces/default/configmaps/kept")).status, 404);
      await run("down");
      await assertNoTraces();
    });
  });
}
