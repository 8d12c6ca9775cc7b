/** What dies under traffic, whatever the profile: a fault, some time, and then what became of everybody. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { installWeft } from "#tools/kubernetes/product.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { forgetHistory, killApiServer, killOn, killProxy } from "./faults/machine.ts";
import { MESH, SPARE } from "./faults/manifests.ts";
import { FaultWorld, type Damage } from "./faults/world.ts";
import { eventually } from "./on-kubernetes.ts";
import type { Running } from "./shared-tests.ts";

/** How long it is watched after a fault. */
export const WATCH_MS = 12_000;
/** Of what comes back late. */
export const AWAY_MS = 60_000;
export const LIMIT = { timeout: 600_000 };
/** An agent is up again, and a proxy that was killed may be started anew at once. */
const AGENTS_BACK_MS = 15_000;
const AGENT = "weft agent --kubernetes";
const OWN_GATEWAY = ["-n", "istio-system", "-l", "istio=ingressgateway"] as const;

/** Ends when what died is back, and answers what may be missing for it. */
export type Fault = (cluster: KubernetesCluster, nodes: readonly string[]) => Promise<Damage | void>;

export interface UnderTraffic {
  readonly world: () => FaultWorld;
  unnoticed(what: string, fault: Fault): void;
}

/** Installs Weft and starts the traffic, before all tests. */
export function underTraffic(cluster: Running): UnderTraffic {
  let started: FaultWorld | undefined;
  const world = (): FaultWorld => started ?? assert.fail("the traffic did not start");
  before(async () => {
    await installWeft(cluster());
    // One on each node, so that what dies with one is served by the other.
    await cluster().get("-n", "istio-system", "scale", "deployment", "istio-ingressgateway", "--replicas=2");
    await cluster().get("-n", "istio-system", "rollout", "status", "deployment/istio-ingressgateway", "--timeout=120s");
    started = await FaultWorld.start(cluster());
  });
  after(() => started?.stop());
  return {
    world,
    unnoticed(what, fault) {
      test(`${what} is not noticed by traffic`, LIMIT, async () => {
        const mark = await world().mark();
        progress(what);
        const damage = await fault(cluster(), world().nodes);
        await sleep(WATCH_MS);
        progress("looking at what became of it");
        assert.deepEqual(await world().brokenSince(mark, damage ?? {}), []);
        assert.deepEqual(await world().deafToNews(), []);
      });
    },
  };
}

export async function killAgents(cluster: KubernetesCluster, nodes: readonly string[]): Promise<void> {
  for (const node of nodes) await killOn(cluster, node, AGENT);
}

export async function agentsAreBack(cluster: KubernetesCluster): Promise<void> {
  await cluster.get("-n", "weft-system", "rollout", "status", "daemonset/weft-agent", "--timeout=120s");
}

export async function killLeader(cluster: KubernetesCluster): Promise<void> {
  const leader = await leaderOf(cluster);
  const node = await cluster.get("-n", "weft-system", "get", "pod", leader.split("_")[0] ?? "", "-o", "jsonpath={.spec.nodeName}");
  await killOn(cluster, node, "weft control --kubernetes");
  const next = await eventually(
    () => leaderOf(cluster),
    (identity) => identity !== leader,
    120_000,
  );
  assert.notEqual(next, leader, "another process leads");
}

/**
 * The API server for a minute, and what its store remembers; meanwhile the agents, and then proxies: what they need to start anew
 * is on the node.
 */
export async function killApiServerAndMore(cluster: KubernetesCluster, nodes: readonly string[]): Promise<void> {
  const spares = new Map<string, string>();
  for (const node of nodes) spares.set(node, await cluster.get("-n", MESH, "get", "pod", `${SPARE}-${node}`, "-o", "jsonpath={.status.podIP}"));
  const { started, startAgain } = killApiServer(cluster);
  const end = Date.now() + AWAY_MS;
  await killAgents(cluster, nodes);
  await sleep(AGENTS_BACK_MS);
  for (const node of nodes) await killProxy(cluster, node, `${SPARE}-${node}`);
  const late: string[] = [];
  for (const [node, address] of spares) {
    const answer = await eventually(
      () =>
        cluster.nodes?.run(node, "curl", "-sS", "--max-time", "2", "-o", "/dev/null", "-w", "%{http_code}", `http://${address}:15021/healthz/ready`) ??
        assert.fail(),
      ({ stdout }) => stdout === "200",
      Math.max(0, end - Date.now()),
    );
    progress(`the proxy of ${SPARE}-${node} answers "${answer.stdout}" ${end - Date.now()} ms before the API server comes back`);
    if (answer.stdout !== "200") late.push(`the proxy of ${SPARE}-${node} did not start anew without an API server: ${answer.stdout} ${answer.stderr}`);
  }
  await sleep(Math.max(0, end - Date.now()));
  await forgetHistory(cluster, started);
  startAgain();
  await apiServerAnswers(cluster);
  assert.deepEqual(late, []);
}

/** As a rollout would; whoever it serves is told before it goes. */
export async function deleteGateway(cluster: KubernetesCluster): Promise<void> {
  const pod = await cluster.get(...OWN_GATEWAY, "get", "pods", "-o", "jsonpath={.items[0].metadata.name}");
  await cluster.get("-n", "istio-system", "delete", "pod", pod);
  await cluster.get("-n", "istio-system", "rollout", "status", "deployment/istio-ingressgateway", "--timeout=120s");
}

export async function killGateway(cluster: KubernetesCluster): Promise<Damage> {
  const [pod = "", node = ""] = (await cluster.get(...OWN_GATEWAY, "get", "pods", "-o", "jsonpath={.items[0].metadata.name} {.items[0].spec.nodeName}")).split(
    " ",
  );
  await killProxy(cluster, node, pod);
  await cluster.get("-n", "istio-system", "rollout", "status", "deployment/istio-ingressgateway", "--timeout=120s");
  return { visitsMayFail: VISITS_OF_A_DEAD_GATEWAY };
}

/** Ten a second, of which the dead one is given half, until kubelet has seen that it died and says so, on a busy machine. */
const VISITS_OF_A_DEAD_GATEWAY = 40;

function leaderOf(cluster: KubernetesCluster): Promise<string> {
  return cluster.get("-n", "weft-system", "get", "lease", "weft-control", "-o", "jsonpath={.spec.holderIdentity}");
}

export async function apiServerAnswers(cluster: KubernetesCluster): Promise<void> {
  const { code, stderr } = await eventually(
    () => cluster.kubectl("get", "--raw", "/readyz"),
    (result) => result.code === 0,
    120_000,
  );
  assert.equal(code, 0, stderr);
}
