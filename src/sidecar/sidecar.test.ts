import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { createLog } from "#run/log.ts";
import { AGENT_SOCKET, startSidecar } from "./sidecar.ts";

const ENV = {
  POD_NAME: "reviews-1",
  POD_NAMESPACE: "default",
  POD_IP: "10.244.0.5",
  SERVICE_ACCOUNT: "reviews",
  WEFT_PROXY_KIND: "sidecar",
  WEFT_POD_LABELS: '{"app":"reviews"}',
  WEFT_APP_PROBES: '{"/app-health/app/livez":{"httpGet":{"port":9080,"path":"/","scheme":"HTTP"},"timeoutSeconds":1}}',
};

test("a sidecar says what it waits for, and answers for the application meanwhile", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "pod" });
  const lines: string[] = [];
  const log = createLog({ program: "proxy", clock: host.clock, write: (line) => lines.push(line) });
  const said = (text: string): number => lines.filter((line) => line.includes(text)).length;
  let quits = 0;
  const sidecar = await world.drive(startSidecar(host, { env: ENV, log, quit: () => (quits += 1) }));
  const get = async (port: number, path: string): Promise<number> => {
    const response = await world.drive(host.http.request({ method: "GET", url: `http://127.0.0.1:${port}${path}`, timeoutMs: 2_000 }));
    return response.status;
  };

  await world.drive(host.clock.sleep(25_000));
  assert.equal(said("waiting for the node's agent"), 3);
  assert.equal(await get(15020, "/app-health/app/livez"), 503);
  const application = await world.drive(
    host.http.serve({ address: { ip: "0.0.0.0", port: 9080 } }, { onRequest: (exchange) => exchange.respond(200, {}, "") }),
  );
  assert.equal(await get(15020, "/app-health/app/livez"), 200);

  const agent = await world.drive(host.net.listen({ address: { path: AGENT_SOCKET } }, (connection) => connection.destroy()));
  await world.drive(host.clock.sleep(15_000));
  assert.equal(said("the node's agent is there"), 1);
  assert.equal(said("waiting for configuration and certificate"), 1);
  assert.equal(await get(15000, "/ready"), 503);

  await world.drive(sidecar.stop());
  await assert.rejects(get(15020, "/app-health/app/livez"));
  assert.equal(quits, 0);
  await world.drive(agent.close());
  await world.drive(application.close());
});

test("a sidecar whose environment is not what injection writes does not start", async () => {
  const host = fakeHost(new FakeWorld(), { name: "pod" });
  const { POD_IP: _, ...without } = ENV;
  const log = createLog({ program: "proxy", clock: host.clock, write: () => undefined });
  await assert.rejects(startSidecar(host, { env: without, log, quit: () => undefined }), /POD_IP is not set/);
});
