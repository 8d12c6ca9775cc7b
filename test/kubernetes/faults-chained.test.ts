/** Faults of what is ours behind another network: of agents, of the control plane and its API server, of gateways; and pods that start. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { agentsAreBack, deleteGateway, killAgents, killApiServerAndMore, killLeader, LIMIT, underTraffic } from "./fault-tests.ts";
import { leaksOfNewborns } from "./faults/newborns.ts";
import { onKubernetes } from "./on-kubernetes.ts";

onKubernetes("faults under traffic behind another network", "mesh", (cluster) => {
  const { unnoticed, world } = underTraffic(cluster);

  unnoticed("kill -9 of agents and of the leader of the control plane", async (on, nodes) => {
    await killAgents(on, nodes);
    await killLeader(on);
    await agentsAreBack(on);
  });

  unnoticed("kill -9 of the API server for a minute, of its store's memory, of agents and of proxies that nobody asks,", killApiServerAndMore);

  unnoticed("the end of a gateway's replica", deleteGateway);

  test("a meshed pod neither sends nor receives past its proxy when the agents are killed while it starts", LIMIT, async () => {
    assert.deepEqual(await leaksOfNewborns(world(), "killed", () => killAgents(cluster(), world().nodes)), []);
  });
});
