/** What dies under traffic, and what of it a workload notices: nothing, where its own node lives. Needs access to nodes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { applyExample } from "#tools/kubernetes/demo-world.ts";
import { installWeft } from "#tools/kubernetes/product.ts";
import { eventually, onKubernetes } from "./on-kubernetes.ts";
import { startTraffic, type Traffic } from "./traffic.ts";

/** How long traffic is watched after a fault. */
const WATCH_MS = 15_000;
const API_SERVER_AWAY_MS = 60_000;

onKubernetes("faults under traffic", "full", (cluster) => {
  let traffic: Traffic;
  before(async () => {
    await installWeft(cluster());
    await applyExample(cluster());
    traffic = await startTraffic(cluster());
  });

  const unnoticed = (what: string, fault: (cluster: KubernetesCluster) => Promise<void>): void => {
    test(`${what} is not noticed by traffic`, { timeout: 400_000 }, async () => {
      const startedAt = new Date();
      await fault(cluster());
      await sleep(WATCH_MS);
      const { failures, answered } = await traffic.since(startedAt);
      assert.deepEqual(failures, []);
      assert.ok(answered > 0, "requests were answered");
    });
  };

  unnoticed("kill -9 of an agent", async (on) => {
    await killOn(on, await nodeOfTraffic(on), "weft agent --kubernetes");
    await on.get("-n", "weft-system", "rollout", "status", "daemonset/weft-agent", "--timeout=120s");
  });

  unnoticed("kill -9 of the leader of the control plane", async (on) => {
    const leader = await leaderOf(on);
    const node = await on.get("-n", "weft-system", "get", "pod", leader.split("_")[0] ?? "", "-o", "jsonpath={.spec.nodeName}");
    await killOn(on, node, "weft control --kubernetes");
    const next = await eventually(
      () => leaderOf(on),
      (identity) => identity !== leader,
      120_000,
    );
    assert.notEqual(next, leader, "another process leads");
  });

  unnoticed("kill -9 of kubelet", async (on) => {
    const node = await nodeOfTraffic(on);
    const command = await commandOf(on, node, "kubelet --config");
    await killOn(on, node, "kubelet --config");
    await sleep(WATCH_MS);
    await on.nodes?.run(node, "setsid", "--fork", "sh", "-c", `exec ${command} >/dev/null 2>&1 </dev/null`);
    await on.get("wait", "--for=condition=Ready", `node/${node}`, "--timeout=120s");
  });

  unnoticed("a minute without the API server", async (on) => {
    const pid = Number(readFileSync(join(on.peer?.home ?? "", "run/apiserver.pid"), "utf8"));
    process.kill(pid, "SIGSTOP");
    try {
      await sleep(API_SERVER_AWAY_MS);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await eventually(
      () => on.kubectl("get", "--raw", "/readyz"),
      ({ code }) => code === 0,
    );
  });
});

function nodeOfTraffic(cluster: KubernetesCluster): Promise<string> {
  return cluster.get("-n", "default", "get", "pod", "traffic", "-o", "jsonpath={.spec.nodeName}");
}

function leaderOf(cluster: KubernetesCluster): Promise<string> {
  return cluster.get("-n", "weft-system", "get", "lease", "weft-control", "-o", "jsonpath={.spec.holderIdentity}");
}

/** In the node's own process namespace: nothing else on this machine is meant. */
async function killOn(cluster: KubernetesCluster, node: string, pattern: string): Promise<void> {
  const killed = await cluster.nodes?.run(node, "sh", "-c", `kill -9 $(pgrep -o -f ${JSON.stringify(pattern)})`);
  assert.equal(killed?.code, 0, `${pattern} on ${node}: ${killed?.stderr ?? "nodes cannot be reached"}`);
}

async function commandOf(cluster: KubernetesCluster, node: string, pattern: string): Promise<string> {
  const found = await cluster.nodes?.run(node, "sh", "-c", `tr '\\0' ' ' < /proc/$(pgrep -o -f ${JSON.stringify(pattern)})/cmdline`);
  assert.notEqual(found?.stdout ?? "", "", `${pattern} runs on ${node}`);
  return found?.stdout ?? "";
}
