import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { ServiceHealthCheck } from "#model/plan/node-plan.ts";
import { silentLog } from "#run/log.ts";
import { ServiceHealth } from "./service-health.ts";

const check = (port: number, localEndpoints: number): ServiceHealthCheck => ({
  port,
  namespace: "shop",
  name: "web",
  localEndpoints,
  by: { kind: "Service", namespace: "shop", name: "web", field: "spec.healthCheckNodePort" },
});

test("a load balancer is told by each node whether it serves the Service itself", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const health = new ServiceHealth(host, silentLog);
  const ask = async (port: number) => {
    const response = await world.drive(host.http.request({ method: "GET", url: `http://127.0.0.1:${port}/`, timeoutMs: 1000 }));
    return `${response.status} ${(await world.drive(response.text())).trim()}`;
  };
  const words = (endpoints: number) => `{"service":{"namespace":"shop","name":"web"},"localEndpoints":${endpoints},"serviceProxyHealthy":true}`;
  health.applied({ healthChecks: [check(32000, 2)] });
  assert.equal(await ask(32000), `200 ${words(2)}`);
  health.applied({ healthChecks: [check(32000, 0)] });
  assert.equal(await ask(32000), `503 ${words(0)}`);
  health.applied({ healthChecks: [check(32001, 1)] });
  await assert.rejects(ask(32000));
  assert.equal(await ask(32001), `200 ${words(1)}`);
  await health.close();
  await assert.rejects(ask(32001));
});
