import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { HttpServer } from "#host/http.ts";
import { createLog } from "./log.ts";
import { whenFree } from "./when-free.ts";

const ADDRESS = { ip: "192.0.2.1", port: 15014 };

function lab() {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const lines: string[] = [];
  const log = createLog({ program: "control", clock: world.clock, write: (line) => void lines.push(line) });
  const listen = (address = ADDRESS): Promise<HttpServer> => host.http.serve({ address }, { onRequest: (exchange) => exchange.respond(200, {}, "") });
  return { world, host, lines, listen, patient: () => world.drive(whenFree(host, log, () => listen())) };
}

test("a port that is free is taken without a word", async () => {
  const { lines, patient } = lab();
  assert.deepEqual((await patient()).address, ADDRESS);
  assert.deepEqual(lines, []);
});

test("a port that a former program has still is taken when that has ended, and it is said once what is waited for", async () => {
  const { world, host, lines, listen, patient } = lab();
  const former = await listen();
  world.plan(2_500, () => void former.close());
  const before = host.clock.monotonic();
  assert.deepEqual((await patient()).address, ADDRESS);
  assert.ok(host.clock.monotonic() - before < 3_000);
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /"level":"warn".*192\.0\.2\.1:15014/);
});

test("a port that stays another's is an error in the end, and other refusals are at once", async () => {
  const { world, host, listen, patient } = lab();
  await listen();
  await assert.rejects(patient(), { name: "HostError", code: "EADDRINUSE" });
  const before = host.clock.monotonic();
  const log = createLog({ program: "control", clock: world.clock, write: () => undefined });
  await assert.rejects(world.drive(whenFree(host, log, () => Promise.reject(new Error("no")))), { message: "no" });
  assert.equal(host.clock.monotonic(), before);
});
