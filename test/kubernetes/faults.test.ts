/**
 * What dies under traffic, and what of it is noticed: no connection ends that was there, no request fails, and nothing gets through
 * that a policy forbids, at no moment; where a whole node dies, that holds of the others. Needs access to nodes.
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { installWeft } from "#tools/kubernetes/product.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { apiServerPid, forgetHistory, holdInit, killApiServer, killForAWhile, killNode, killOn } from "./faults/machine.ts";
import { MESH } from "./faults/manifests.ts";
import { leaksOfNewborns } from "./faults/newborns.ts";
import { FaultWorld } from "./faults/world.ts";
import { eventually, onKubernetes } from "./on-kubernetes.ts";

/** How long it is watched after a fault. */
const WATCH_MS = 15_000;
/** Of what comes back late. */
const AWAY_MS = 60_000;
const LIMIT = { timeout: 600_000 };
const AGENT = "weft agent --kubernetes";

onKubernetes("faults under traffic", "full", (cluster) => {
  let world: FaultWorld;
  before(async () => {
    await installWeft(cluster());
    world = await FaultWorld.start(cluster());
  });

  /** `fault` ends when what died is back; it answers the node that was lost with all its pods, if one was. */
  const unnoticed = (what: string, fault: (cluster: KubernetesCluster, nodes: readonly string[]) => Promise<string | undefined>): void => {
    test(`${what} is not noticed by traffic`, LIMIT, async () => {
      const mark = await world.mark();
      progress(what);
      const lost = await fault(cluster(), world.nodes);
      await sleep(WATCH_MS);
      progress("looking at what became of it");
      assert.deepEqual(await world.brokenSince(mark, lost), []);
      assert.deepEqual(await world.deafToNews(), []);
    });
  };

  unnoticed("an uneventful quarter of a minute", async () => undefined);

  unnoticed("kill -9 of an agent", async (on, nodes) => {
    for (const node of nodes) await killOn(on, node, AGENT);
    await on.get("-n", "weft-system", "rollout", "status", "daemonset/weft-agent", "--timeout=120s");
    return undefined;
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
    return undefined;
  });

  unnoticed("kill -9 of kubelet", async (on, [node = ""]) => {
    const startAgain = await killForAWhile(on, node, "kubelet --config");
    await sleep(WATCH_MS);
    await startAgain();
    await nodeIsReady(on, node);
    return undefined;
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
    return undefined;
  });

  unnoticed("kill -9 of the API server for a minute, and of its store's memory,", async (on) => {
    const { started, startAgain } = killApiServer(on);
    await sleep(AWAY_MS);
    await forgetHistory(on, started);
    startAgain();
    await apiServerAnswers(on);
    return undefined;
  });

  unnoticed("an API server that is silent for a minute", async (on) => {
    const pid = apiServerPid(on);
    process.kill(pid, "SIGSTOP");
    try {
      await sleep(AWAY_MS);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await apiServerAnswers(on);
    return undefined;
  });

  unnoticed("the death of a whole node, by the others,", async (on, nodes) => {
    const node = nodes.at(-1) ?? "";
    const startAgain = await killNode(on, node);
    await sleep(AWAY_MS);
    startAgain();
    await nodeIsReady(on, node);
    return node;
  });

  test("a pod neither sends nor receives before its policy is there", LIMIT, async () => {
    assert.deepEqual(await leaksOfNewborns(world, "calm", async () => undefined), []);
  });

  test("nor when the agents are killed while it starts", LIMIT, async () => {
    const killAgents = async (): Promise<void> => {
      for (const node of world.nodes) await killOn(cluster(), node, AGENT);
    };
    assert.deepEqual(await leaksOfNewborns(world, "killed", killAgents), []);
  });
});

function leaderOf(cluster: KubernetesCluster): Promise<string> {
  return cluster.get("-n", "weft-system", "get", "lease", "weft-control", "-o", "jsonpath={.spec.holderIdentity}");
}

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

async function apiServerAnswers(cluster: KubernetesCluster): Promise<void> {
  const { code, stderr } = await eventually(
    () => cluster.kubectl("get", "--raw", "/readyz"),
    (result) => result.code === 0,
    120_000,
  );
  assert.equal(code, 0, stderr);
}
