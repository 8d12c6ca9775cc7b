/**
 * While 64 keep-alive connections are busy, 1,000 changes of routes, clusters and endpoints over delta ADS cause no reset
 * and no 5xx. The proxy is a real process on real sockets; a change counts when the proxy has answered for it, and, when it
 * is a route's, when some client has seen it.
 *
 * Another history: WEFT_TEST_SEED=7 node --test test/proxy/config-changes.test.ts
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startAdsProxy, startBackends, type AdsProxy, type Backends } from "./ads-proxy.ts";
import { ChangingPlan } from "./changing-plan.ts";
import { startClients, type Clients } from "./keep-alive-clients.ts";

const CONNECTIONS = 64;
const CHANGES = 1_000;
const seed = Number(process.env["WEFT_TEST_SEED"] ?? 1);

/** mulberry32 */
function randomOf(start: number): () => number {
  let state = start | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("a proxy whose configuration changes under traffic", { timeout: 600_000 }, () => {
  let backends: Backends;
  before(async () => void (backends = await startBackends(4)));
  after(() => backends.stop());

  async function withTraffic(run: (parts: { plan: ChangingPlan; proxy: AdsProxy; clients: Clients }) => Promise<void>): Promise<void> {
    const plan = new ChangingPlan(backends.ports, randomOf(seed));
    const proxy = await startAdsProxy(plan);
    const clients = startClients(proxy.port, CONNECTIONS);
    try {
      await until(clients, () => clients.answers.every((answers) => answers > 0));
      await run({ plan, proxy, clients });
    } finally {
      await clients.stop();
      await proxy.stop();
    }
  }

  test(`${CHANGES} changes, ${CONNECTIONS} connections: no reset, no 5xx`, async (t) => {
    await withTraffic(async ({ plan, proxy, clients }) => {
      const kinds = new Map<string, number>();
      for (let change = 1; change <= CHANGES && clients.faults.length === 0; change++) {
        const what = plan.change();
        kinds.set(what, (kinds.get(what) ?? 0) + 1);
        await proxy.settled();
        await until(clients, () => clients.newest === plan.configuration);
        if (clients.faults.length > 0) t.diagnostic(`seed ${seed}, change ${change}: ${what}`);
      }
      const seen = clients.newest;
      await clients.stop();
      assert.deepEqual(clients.faults.slice(0, 5), []);
      assert.deepEqual(proxy.refused, []);
      assert.equal(seen, plan.configuration);
      assert.equal(clients.backends.size, backends.ports.length, "every backend has answered");
      const answers = clients.answers.reduce((sum, each) => sum + each, 0);
      const stats = await proxy.admin("/stats");
      const stat = (name: string): number => Number(new RegExp(`^${name.replaceAll(".", "\\.")}: (\\d+)$`, "m").exec(stats)?.[1]);
      assert.equal(stat("http.shop.downstream_rq_2xx"), answers);
      assert.equal(stat("http.shop.downstream_rq_5xx"), 0);
      assert.equal(stat("http.shop.downstream_cx_total"), CONNECTIONS, "no connection was made again");
      t.diagnostic(`${answers} answers, at least ${Math.min(...clients.answers)} on each connection`);
      t.diagnostic([...kinds].map(([kind, count]) => `${count} times ${kind}`).join(", "));
    });
  });

  test("the same clients see it when a cluster goes before its route", async () => {
    await withTraffic(async ({ plan, proxy, clients }) => {
      for (let change = 0; change < 50 && clients.faults.length === 0; change++) {
        plan.breakBeforeMake();
        await proxy.settled();
        await until(clients, () => clients.newest === plan.configuration);
      }
      assert.match(clients.faults[0] ?? "", /\b503\b/);
    });
  });
});

/** Waits for what traffic brings about; the test's own time limit ends it. */
async function until(clients: Clients, holds: () => boolean): Promise<void> {
  while (!holds() && clients.faults.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
