import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { inClusterAccess } from "./kubeconfig.ts";

test("a pod's access is its service account's, and its token and its root are read again as time goes by", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  await world.drive(
    (async () => {
      const folder = "/var/run/secrets/kubernetes.io/serviceaccount";
      await host.files.makeDirectory(folder);
      await host.files.writeAtomic(`${folder}/ca.crt`, "PEM");
      await host.files.writeAtomic(`${folder}/namespace`, "weft-system\n");
      await host.files.writeAtomic(`${folder}/token`, "first\n");
      const access = await inClusterAccess(host, { url: "https://192.0.2.1:6443/" });
      assert.deepEqual([access.url, access.namespace, await access.ca?.()], ["https://192.0.2.1:6443", "weft-system", "PEM"]);
      assert.equal(await access.token?.(), "first");
      await host.files.writeAtomic(`${folder}/token`, "second\n");
      await host.files.writeAtomic(`${folder}/ca.crt`, "PEM, and the next");
      await host.clock.sleep(61_000);
      assert.equal(await access.token?.(), "second");
      assert.equal(await access.ca?.(), "PEM, and the next");
      await host.files.remove(folder);
      await host.clock.sleep(61_000);
      assert.equal(await access.token?.(), "second", "what cannot be read now may still do");
    })(),
  );
});
