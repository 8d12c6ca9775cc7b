/**
 * What dies under traffic, and what of it is noticed: no connection ends that was there, no request fails, and nothing gets through
 * that a policy forbids, at no moment; where a whole node dies, that holds of the others. Needs access to nodes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { apiServerPid, holdInit, killForAWhile, killNode } from "./faults/machine.ts";
import { MESH } from "./faults/manifests.ts";
import { leaksOfNewborns } from "./faults/newborns.ts";
import {
  agentsAreBack,
  apiServerAnswers,
  AWAY_MS,
  deleteGateway,
  killAgents,
  killApiServerAndMore,
  killGateway,
  killLeader,
  LIMIT,
  underTraffic,
  WATCH_MS,
} from "./fault-tests.ts";
import { eventually, onKubernetes } from "./on-kubernetes.ts";

/** Longer than anybody waits for an answer here. */
const SILENT_MS = 20_000;

onKubernetes("faults under traffic", "full", (cluster) => {
  const { unnoticed, world } = underTraffic(cluster);

  unnoticed("an uneventful quarter of a minute", () => Promise.resolve());

  unnoticed("kill -9 of an agent", async (on, nodes) => {
    await killAgents(on, nodes);
    await agentsAreBack(on);
  });

  unnoticed("kill -9 of the leader of the control plane", killLeader);

  unnoticed("the end of a gateway's replica", deleteGateway);

  unnoticed("kill -9 of a gateway's replica, but by who was with it,", killGateway);

  unnoticed("kill -9 of kubelet", async (on, [node = ""]) => {
    const startAgain = await killForAWhile(on, node, "kubelet --config");
    await sleep(WATCH_MS);
    await startAgain();
    await nodeIsReady(on, node);
  });

  unnoticed("kill -9 of containerd", async (on, [node = ""]) => {
    holdInit(on, node);
    const startAgain = await killForAWhile(on, node, "containerd -c");
    await sleep(WATCH_MS);
    await startAgain();
    // Kubelet lived: what it says of its node would not tell. It cannot look into a pod without its runtime.
    const looks = await eventually(
      () => on.kubectl("-n", MESH, "exec", `guarded-${node}`, "-c", "app", "--", "node", "--version"),
      ({ code }) => code === 0,
      120_000,
    );
    assert.equal(looks.code, 0, looks.stderr);
  });

  unnoticed("kill -9 of the API server for a minute, of its store's memory, of agents and of proxies that nobody asks,", killApiServerAndMore);

  unnoticed("an API server that is silent for a while", async (on) => {
    const pid = apiServerPid(on);
    process.kill(pid, "SIGSTOP");
    try {
      await sleep(SILENT_MS);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await apiServerAnswers(on);
  });

  unnoticed("the death of a whole node, by the others,", async (on, nodes) => {
    const lost = nodes.at(-1) ?? "";
    const startAgain = await killNode(on, lost);
    await sleep(AWAY_MS);
    startAgain();
    await nodeIsReady(on, lost);
    return { lost };
  });

  test("a pod neither sends nor receives before its policy and its proxy are there", LIMIT, async () => {
    assert.deepEqual(await leaksOfNewborns(world(), "calm", () => Promise.resolve()), []);
  });

  test("nor when the agents are killed while it starts", LIMIT, async () => {
    assert.deepEqual(await leaksOfNewborns(world(), "killed", () => killAgents(cluster(), world().nodes)), []);
  });
});

/** Its kubelet says so anew: what it said before it died stays for a while. */
async function nodeIsReady(cluster: KubernetesCluster, node: string): Promise<void> {
  const since = Date.now();
  const isReady = async (): Promise<boolean> => {
    const heartbeat = "{.lastHeartbeatTime} {.status}";
    const { stdout } = await cluster.kubectl("get", "node", node, "-o", `jsonpath={range .status.conditions[?(@.type=="Ready")]}${heartbeat}{end}`);
    const [at = "", status] = stdout.split(" ");
    return status === "True" && Date.parse(at) > since - 1000;
  };
  assert.ok(await eventually(isReady, (ready) => ready, 300_000), `${node} is Ready again`);
}
