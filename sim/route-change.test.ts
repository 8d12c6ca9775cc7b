/**
 * A route changes while requests flow: every request is answered, no connection breaks, and no connection that has seen v2
 * sees v1 again. The same seed is the same history, another seed another one; and the checks see what they are there for.
 *
 * Another history: SEED=7 node --test sim/route-change.test.ts
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "#host/net.ts";
import { startReviews, type Caller, type Mischief } from "./reviews.ts";
import { replayable, seedsOf } from "./seeds.ts";

interface History {
  readonly hash: string;
  readonly trace: string;
  /** What must not happen. */
  readonly faults: readonly string[];
}

async function play(seed: number, mischief: Mischief = {}): Promise<History> {
  const reviews = await startReviews(seed, mischief);
  const { world } = reviews.cluster;
  await world.pass(500);
  await reviews.routeTo("v2");
  await world.pass(200);
  const problems = await reviews.end();
  const faults = [...reviews.callers.flatMap(faultsOf), ...problems];
  return { hash: world.traceHash(), trace: world.traceText(), faults };
}

function faultsOf({ seen }: Caller, index: number): readonly string[] {
  const failed = seen.filter((answer) => answer !== "200 v1" && answer !== "200 v2").map((answer) => `caller ${index} got ${answer}`);
  const changed = seen.indexOf("200 v2");
  if (changed < 10) return [...failed, `caller ${index} did not see v1 for a while and then v2: ${seen.join(", ")}`];
  return seen.slice(changed).includes("200 v1") ? [...failed, `caller ${index} saw v1 again after v2`] : failed;
}

const file = "route-change.test.ts";
const seeds = seedsOf(50);
const [seed = 1] = seeds;

test("a route changes under traffic without one failed request, and the same seed is the same history", { timeout: 600_000 }, async (t) => {
  const hashes = new Set<string>();
  for (const each of seeds) {
    await replayable(file, each, async () => {
      const { hash, trace, faults } = await play(each);
      assert.deepEqual(faults, []);
      hashes.add(hash);
      if (each !== seed) return;
      const again = await play(each);
      if (again.hash !== hash) assert.equal(again.trace, trace, "two histories of one seed");
      t.diagnostic(`seed ${each}: ${trace.split("\n").length - 1} events, trace ${hash.slice(0, 16)}, twice`);
    });
  }
  if (seeds.length === 1) hashes.add((await play(seed + 1)).hash);
  assert.equal(hashes.size, Math.max(2, seeds.length), "another seed is another history");
});

const accepted: Connection[] = [];
const spoiled: readonly { readonly what: string; readonly mischief: Mischief; readonly seen: RegExp }[] = [
  {
    what: "a new route that leads back to v1 now and then",
    mischief: { answer: ((count) => (version: string) => (version === "v2" && (count += 1) % 7 === 0 ? "v1" : version))(0) },
    seen: /saw v1 again after v2/,
  },
  {
    what: "proxies that drop their connections when a route changes",
    mischief: {
      podHost: (host) => ({
        ...host,
        net: {
          ...host.net,
          connect: (options, handler) => host.net.connect(options, handler),
          listen: (options, onConnection) =>
            host.net.listen(options, (connection) => {
              accepted.push(connection);
              onConnection(connection);
            }),
        },
      }),
      onChange: () => accepted.splice(0).forEach((connection) => connection.destroy(true)),
    },
    seen: /got (0|503) /,
  },
];

for (const { what, mischief, seen } of spoiled) {
  test(`the checks see ${what}`, { timeout: 120_000 }, async () => {
    const { faults } = await replayable(file, seed, () => play(seed, mischief));
    assert.match(faults.join("\n"), seen);
  });
}

test("the hash sees a program that draws from another source than the seed", { timeout: 120_000 }, async () => {
  const drawn = () => play(seed, { answer: (version) => (version === "v1" && Math.random() < 0.5 ? "v1 " : version) });
  const [first, second] = [await drawn(), await drawn()];
  assert.notEqual(first.hash, second.hash);
});
