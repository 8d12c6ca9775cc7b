/**
 * The API server goes away while requests flow, and comes back: no request notices, nothing is lost, and what changes
 * afterwards arrives everywhere.
 *
 * Another history: SEED=7 node --test sim/api-lost.test.ts
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startReviews } from "./reviews.ts";
import { replayable, seedsOf } from "./seeds.ts";

test("traffic flows on without the API server, and changes arrive when it is back", { timeout: 600_000 }, async () => {
  for (const seed of seedsOf(10)) {
    await replayable("api-lost.test.ts", seed, async () => {
      const reviews = await startReviews(seed);
      const { world, api, stopApi, startApi } = reviews.cluster;
      await world.pass(200);
      await stopApi();
      await assert.rejects(world.drive(api.list("Pod")), /ECONNREFUSED|connect|ended|answer/);
      await world.pass(3_000);
      await startApi();
      await reviews.routeTo("v2");
      await world.pass(200);
      const names = async (kind: "Pod" | "VirtualService") =>
        (await world.drive(api.list(kind, { namespace: "default" }))).items.map(({ metadata }) => metadata.name);
      assert.equal((await names("Pod")).length, 3);
      assert.deepEqual(await names("VirtualService"), ["reviews"]);
      const problems = await reviews.end();
      const answers = new Set(reviews.callers.flatMap(({ seen }) => seen));
      assert.deepEqual([...answers].toSorted(), ["200 v1", "200 v2"]);
      assert.deepEqual(
        problems.filter((problem) => !/ECONNREFUSED|connect/.test(problem)),
        [],
      );
    });
  }
});
