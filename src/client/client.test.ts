import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { realClock } from "#host/real/clock.ts";
import { realFiles } from "#host/real/files.ts";
import { realHttp } from "#host/real/http.ts";
import { realRandom } from "#host/real/random.ts";
import { startTestServer, type TestServer } from "#apiserver/test-server.ts";
import type { ConfigMap } from "#model/core.ts";
import { ApiRefusal } from "./api-error.ts";
import { connectApi, type ApiClient } from "./client.ts";
import { followWorld, type ObjectChange } from "./informer.ts";
import { readKubeconfig } from "./kubeconfig.ts";

const host = { http: realHttp(), clock: realClock(), random: realRandom() };
const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data,
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "waited 5 s in vain");
    await host.clock.sleep(10);
  }
}

describe("client", () => {
  let server: TestServer;
  let api: ApiClient;
  const warnings: string[] = [];

  before(async () => {
    server = await startTestServer();
    const access = await readKubeconfig(realFiles(), server.kubeconfig);
    api = connectApi({ host, ...access, userAgent: "test", onWarning: (text) => void warnings.push(text) });
  });
  after(() => server.stop());

  test("an object can be created, read, updated, patched and deleted", async () => {
    const made = await api.create("ConfigMap", configMap("a", { x: "1" }));
    assert.deepEqual((await api.get("ConfigMap", "a", "default")).data, { x: "1" });
    const changed = await api.update("ConfigMap", { ...made, data: { x: "2" } });
    await assert.rejects(api.update("ConfigMap", { ...made, data: { x: "3" } }), (error: unknown) => error instanceof ApiRefusal && error.isConflict);
    const patched = await api.patch("ConfigMap", { name: "a", namespace: "default" }, { data: { y: "4" } });
    assert.deepEqual(patched.data, { x: "2", y: "4" });
    assert.ok(Number(patched.metadata.resourceVersion) > Number(changed.metadata.resourceVersion));
    await api.delete("ConfigMap", { name: "a", namespace: "default" });
    await api.delete("ConfigMap", { name: "a", namespace: "default" });
    assert.equal(await api.find("ConfigMap", "a", "default"), undefined);
  });

  test("a refusal carries the fields that are wrong", async () => {
    const bad = { apiVersion: "v1", kind: "Service", metadata: { name: "s", namespace: "default" }, spec: { ports: [{ port: 0 }] } };
    await assert.rejects(
      api.create("Service", bad),
      (error: unknown) => error instanceof ApiRefusal && error.status.code === 422 && error.status.causes[0]?.field === "spec.ports[0].port",
    );
  });

  test("unknown fields warn", async () => {
    warnings.length = 0;
    await api.create("ConfigMap", { ...configMap("warned"), dta: {} } as ConfigMap);
    assert.deepEqual(warnings, ['unknown field "dta"']);
  });

  test("two managers apply without undoing each other", async () => {
    await api.apply("ConfigMap", configMap("shared", { a: "1" }), { manager: "one" });
    await api.apply("ConfigMap", configMap("shared", { b: "2" }), { manager: "two" });
    const both = await api.apply("ConfigMap", configMap("shared", { a: "3" }), { manager: "one" });
    assert.deepEqual(both.data, { a: "3", b: "2" });
    const without = await api.apply("ConfigMap", configMap("shared"), { manager: "one" });
    assert.deepEqual(without.data, { b: "2" });
  });

  test("a followed World is complete, hears changes, and survives a crash of the server", async (t) => {
    await api.create("ConfigMap", configMap("first"));
    const heard: ObjectChange[] = [];
    const followed = followWorld(api, ["ConfigMap", "Namespace"], { host, changed: (changes) => void heard.push(...changes) });
    t.after(() => followed.stop());
    await followed.ready;
    assert.ok(followed.snapshot().ConfigMap?.has("default/first"));
    assert.ok(heard.some(({ kind, key, before }) => kind === "ConfigMap" && key === "default/first" && before === undefined));
    await api.patch("ConfigMap", { name: "first", namespace: "default" }, { data: { k: "v" } });
    await until(() => followed.world.ConfigMap?.get("default/first")?.data?.["k"] === "v");
    await server.restart();
    await api.create("ConfigMap", configMap("second"));
    await api.delete("ConfigMap", { name: "first", namespace: "default" });
    await until(() => followed.world.ConfigMap?.has("default/second") === true && !followed.world.ConfigMap.has("default/first"));
    assert.equal(followed.isCurrent, true);
  });
});
