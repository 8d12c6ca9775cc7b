import assert from "node:assert/strict";
import { test } from "node:test";
import { startApiServer } from "#apiserver/apiserver.ts";
import { testAuthority } from "#apiserver/test-certificates.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { connectApi } from "./client.ts";
import { followWorld } from "./informer.ts";

/** What a follower heard, under virtual time. */
async function story(): Promise<readonly string[]> {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const authority = await testAuthority();
  const tls = { ...(await authority.issue("CN=api", { addresses: ["192.0.2.1"] })), clientCa: authority.ca };
  const admin = { ca: authority.ca, ...(await authority.issue("CN=admin, O=system:masters")) };
  const heard: string[] = [];
  await world.drive(
    (async () => {
      const address = { ip: "192.0.2.1", port: 6443 };
      let server = await startApiServer({ host, address, tls, storagePath: "/api.db" });
      const api = connectApi({ host, url: "https://192.0.2.1:6443", tls: admin });
      const followed = followWorld(api, ["ConfigMap"], {
        host,
        changed: (changes) => changes.forEach(({ key, after }) => heard.push(`${host.clock.now()} ${key} ${after?.metadata.resourceVersion ?? "gone"}`)),
      });
      await followed.ready;
      const make = (name: string) => api.create("ConfigMap", { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" } });
      await make("a");
      await make("b");
      await server.stop();
      await host.clock.sleep(3000);
      server = await startApiServer({ host, address, tls, storagePath: "/api.db" });
      await api.delete("ConfigMap", { name: "a", namespace: "default" });
      await host.clock.sleep(20_000);
      assert.deepEqual([...(followed.world.ConfigMap?.keys() ?? [])], ["default/b"]);
      assert.equal(followed.isCurrent, true);
      followed.stop();
      await server.stop();
    })(),
  );
  return heard;
}

test("server and client run under virtual time, and the same world hears the same", async () => {
  const first = await story();
  assert.equal(first.length, 3);
  assert.deepEqual(await story(), first);
});
