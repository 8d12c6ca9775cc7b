/** What an informer does when a server behaves as real ones do: pages, bookmarks, forgotten revisions, kinds that come and go, silence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startApiServer } from "#apiserver/apiserver.ts";
import { testAuthority } from "#apiserver/test-certificates.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpStream } from "#host/http.ts";
import { connectApi } from "./client.ts";
import { followWorld } from "./informer.ts";

const URL_OF_API = "http://192.0.2.1:6443";

/** A server that says what a test wants. */
class ScriptedServer {
  /** "a" -> its data. */
  readonly objects = new Map<string, string>();
  readonly asked: string[] = [];
  readonly watches = new Set<HttpStream>();
  revision = 10;
  /** 0: everything at once. */
  pageSize = 0;
  isServed = true;
  answer: "as asked" | "410 in the midst of a list" | "410 to a watch" = "as asked";

  async start(host: Host): Promise<void> {
    await host.http.serve({ address: { ip: "192.0.2.1", port: 6443 } }, { onRequest: (exchange) => this.#answer(exchange) });
  }

  put(name: string, data: string): void {
    this.objects.set(name, data);
    this.revision += 1;
    this.#tell({ type: "MODIFIED", object: this.#item(name, data) });
  }

  bookmark(): void {
    this.revision += 100;
    this.#tell({ type: "BOOKMARK", object: { metadata: { resourceVersion: String(this.revision) } } });
  }

  endWatches(): void {
    for (const watch of this.watches) watch.end();
    this.watches.clear();
  }

  #tell(event: object): void {
    for (const watch of this.watches) watch.write(`${JSON.stringify(event)}\n`);
  }

  #item(name: string, data: string) {
    return { metadata: { name, namespace: "default", resourceVersion: String(this.revision), managedFields: [{}] }, spec: { host: data } };
  }

  #answer(exchange: HttpExchange): void {
    const { pathname, searchParams } = new URL(exchange.url, URL_OF_API);
    const json = (status: number, body: object): void => exchange.respond(status, { "content-type": "application/json" }, JSON.stringify(body));
    const refuse = (code: number, message: string): void => json(code, { kind: "Status", code, message });
    if (pathname === "/apis/networking.istio.io/v1") {
      this.asked.push("discovery");
      return this.isServed ? json(200, { resources: [{ name: "destinationrules" }] }) : refuse(404, "no such group");
    }
    if (!this.isServed) return refuse(404, "the server could not find the requested resource");
    if (searchParams.get("watch") === "true") {
      this.asked.push(`watch ${searchParams.get("resourceVersion")}`);
      if (this.answer === "410 to a watch") {
        this.answer = "as asked";
        return refuse(410, "too old");
      }
      const stream = exchange.stream(200, {}, () => void this.watches.delete(stream));
      this.watches.add(stream);
      return;
    }
    const limit = Number(searchParams.get("limit") ?? 0);
    const from = Number(searchParams.get("continue") ?? 0);
    this.asked.push(`list ${limit} ${from}`);
    if (this.answer === "410 in the midst of a list" && from > 0) {
      this.answer = "as asked";
      return refuse(410, "continue is too old");
    }
    const all = [...this.objects].map(([name, data]) => this.#item(name, data));
    const until = limit === 0 || this.pageSize === 0 ? all.length : from + this.pageSize;
    const rest = until < all.length ? { continue: String(until) } : {};
    json(200, { items: all.slice(from, until), metadata: { resourceVersion: String(this.revision), ...rest } });
  }
}

interface Scene {
  readonly host: Host;
  readonly server: ScriptedServer;
  readonly names: () => readonly string[];
  readonly troubles: string[];
  readonly served: boolean[];
  readonly ready: Promise<void>;
}

async function scene(play: (scene: Scene) => Promise<void>, set: (server: ScriptedServer) => void = () => undefined): Promise<void> {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const server = new ScriptedServer();
  set(server);
  const troubles: string[] = [];
  const served: boolean[] = [];
  await world.drive(
    (async () => {
      await server.start(host);
      const followed = followWorld(connectApi({ host, url: URL_OF_API }), ["DestinationRule"], {
        host,
        changed: () => undefined,
        onTrouble: (_, error) => void troubles.push(String(error)),
        onServed: (_, is) => void served.push(is),
      });
      const names = () => [...(followed.world.DestinationRule?.values() ?? [])].map(({ metadata, spec }) => `${metadata.name}=${spec.host}`);
      await play({ host, server, names, troubles, served, ready: followed.ready });
      followed.stop();
    })(),
  );
}

const many = (server: ScriptedServer): void => {
  for (const name of ["a", "b", "c", "d", "e"]) server.objects.set(name, "1");
  server.pageSize = 2;
};

test("a long list is read page by page", () =>
  scene(async ({ host, server, names, ready }) => {
    await ready;
    await host.clock.sleep(100);
    assert.deepEqual(names(), ["a=1", "b=1", "c=1", "d=1", "e=1"]);
    assert.deepEqual(server.asked.slice(0, 4), ["list 500 0", "list 500 2", "list 500 4", "watch 10"]);
  }, many));

test("a list whose rest the server has forgotten is asked for at once", () =>
  scene(
    async ({ server, names, ready, troubles }) => {
      await ready;
      assert.equal(names().length, 5);
      assert.deepEqual(server.asked.slice(0, 3), ["list 500 0", "list 500 2", "list 0 0"]);
      assert.deepEqual(troubles, []);
    },
    (server) => {
      many(server);
      server.answer = "410 in the midst of a list";
    },
  ));

test("a watch goes on from the last bookmark, and a forgotten revision is answered with a new list, which is no trouble", () =>
  scene(async ({ host, server, names, ready, troubles }) => {
    await ready;
    await host.clock.sleep(100);
    server.bookmark();
    await host.clock.sleep(100);
    server.endWatches();
    await host.clock.sleep(1_000);
    assert.deepEqual(server.asked, ["list 500 0", "watch 10", "watch 110"]);
    server.answer = "410 to a watch";
    server.endWatches();
    server.put("new", "2");
    await host.clock.sleep(1_000);
    assert.deepEqual(server.asked.slice(3), ["watch 110", "list 500 0", "watch 111"]);
    assert.deepEqual([names(), troubles], [["new=2"], []]);
  }));

test("a kind without a definition counts as listed, is waited for in silence, and is there when it comes", () =>
  scene(
    async ({ host, server, names, ready, troubles, served }) => {
      await ready;
      assert.deepEqual([names(), troubles, served], [[], [], [false]]);
      server.asked.length = 0;
      await host.clock.sleep(60_000);
      assert.ok(server.asked.length <= 13, `${server.asked.length} questions in a minute`);
      server.objects.set("a", "1");
      server.isServed = true;
      await host.clock.sleep(11_000);
      assert.deepEqual([names(), troubles, served], [["a=1"], [], [false, true]]);
    },
    (server) => {
      server.isServed = false;
    },
  ));

test("what is known of a kind goes with its definition, but not by one wrong answer", () =>
  scene(async ({ host, server, names, ready }) => {
    await ready;
    await host.clock.sleep(100);
    server.put("a", "1");
    await host.clock.sleep(100);
    server.isServed = false;
    server.endWatches();
    assert.deepEqual(names(), ["a=1"]);
    await host.clock.sleep(3_000);
    assert.deepEqual(names(), ["a=1"]);
    await host.clock.sleep(20_000);
    assert.deepEqual(names(), []);
  }));

test("a server that never ends a watch is left when it is overdue", () =>
  scene(async ({ host, server, ready }) => {
    await ready;
    await host.clock.sleep(700_000);
    assert.equal(server.asked.filter((each) => each.startsWith("watch")).length, 2);
  }));

test("an hour without the API server costs nothing but freshness", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const authority = await testAuthority();
  const tls = { ...(await authority.issue("CN=api", { addresses: ["192.0.2.1"] })), clientCa: authority.ca };
  const admin = { ca: authority.ca, ...(await authority.issue("CN=admin, O=system:masters")) };
  const address = { ip: "192.0.2.1", port: 6443 };
  const api = connectApi({ host, url: "https://192.0.2.1:6443", tls: admin });
  const start = () => startApiServer({ host, address, tls, storagePath: "/api.db" });
  const make = (name: string) => api.create("ConfigMap", { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" } });
  let troubles = 0;
  const first = await world.drive(start());
  const followed = followWorld(api, ["ConfigMap"], { host, changed: () => undefined, onTrouble: () => void (troubles += 1) });
  await world.drive(followed.ready.then(() => make("before")));
  await world.drive(host.clock.sleep(1_000).then(() => first.stop()));
  await world.pass(3_590_000);
  assert.ok(troubles > 1_000 && troubles < 2_400, `${troubles} attempts in an hour`);
  assert.deepEqual([[...(followed.world.ConfigMap?.keys() ?? [])], followed.isCurrent], [["default/before"], false]);
  const second = await world.drive(start());
  await world.drive(make("after"));
  await world.pass(3_500);
  assert.deepEqual([[...(followed.world.ConfigMap?.keys() ?? [])], followed.isCurrent], [["default/before", "default/after"], true]);
  followed.stop();
  await world.drive(second.stop());
});

test("all kinds are current seconds after the server is back, and while it is away only one of them asks often", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  let isStarting = false;
  const asked: string[] = [];
  const answer = (exchange: HttpExchange): void => {
    const { pathname, searchParams } = new URL(exchange.url, URL_OF_API);
    asked.push(pathname);
    // As one that has not read its own rules yet.
    if (isStarting) return exchange.respond(403, { "content-type": "application/json" }, JSON.stringify({ kind: "Status", code: 403, message: "not yet" }));
    if (searchParams.get("watch") === "true") return void exchange.stream(200, {}, () => undefined);
    exchange.respond(200, { "content-type": "application/json" }, JSON.stringify({ items: [], metadata: { resourceVersion: "1" } }));
  };
  const serve = () => host.http.serve({ address: { ip: "192.0.2.1", port: 6443 } }, { onRequest: answer });
  const kinds = ["Node", "Namespace", "Pod", "Service", "EndpointSlice", "NetworkPolicy"] as const;
  const troubles: string[] = [];
  const first = await world.drive(serve());
  const followed = followWorld(connectApi({ host, url: URL_OF_API }), kinds, {
    host,
    changed: () => undefined,
    onTrouble: (kind) => void troubles.push(kind),
  });
  await world.drive(followed.ready.then(() => host.clock.sleep(1_000)));
  await world.drive(first.close());
  await world.pass(30_000);
  troubles.length = 0;
  await world.pass(600_000);
  assert.ok(troubles.length > 600 && troubles.length < 1_000, `${troubles.length} attempts of ${kinds.length} kinds in ten minutes`);
  isStarting = true;
  const second = await world.drive(serve());
  world.plan(3_000, () => (isStarting = false));
  await world.pass(6_500);
  assert.equal(followed.isCurrent, true);
  followed.stop();
  await world.drive(second.close());
});
