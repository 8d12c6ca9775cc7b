import assert from "node:assert/strict";
import { test } from "node:test";
import { applyJsonPatch } from "#apiserver/patch/json-patch.ts";
import { connectApi } from "#client/client.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { HttpExchange, HttpStream } from "#host/http.ts";
import { createLog } from "#run/log.ts";
import { keepCaBundle } from "./ca-bundle.ts";

interface Configuration {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string };
  readonly webhooks: readonly { readonly name: string; readonly clientConfig: { readonly caBundle?: string; readonly url?: string } }[];
}

/** An API server with at most one webhook configuration. */
class Configurations {
  stored: Configuration | undefined;
  patches = 0;
  readonly #watches = new Set<HttpStream>();

  put(configuration: Configuration): void {
    this.stored = configuration;
    for (const watch of this.#watches) watch.write(`${JSON.stringify({ type: "MODIFIED", object: configuration })}\n`);
  }

  async answer(exchange: HttpExchange): Promise<void> {
    const { searchParams } = new URL(exchange.url, "http://api");
    if (exchange.method === "PATCH") {
      this.patches += 1;
      this.put(applyJsonPatch(this.stored, JSON.parse(Buffer.from(await exchange.body()).toString())) as Configuration);
      return exchange.respond(200, {}, JSON.stringify(this.stored));
    }
    assert.equal(searchParams.get("fieldSelector"), "metadata.name=weft-injector");
    if (searchParams.get("watch") === "true") {
      const stream = exchange.stream(200, {}, () => void this.#watches.delete(stream));
      this.#watches.add(stream);
      return;
    }
    exchange.respond(200, {}, JSON.stringify({ items: this.stored === undefined ? [] : [this.stored], metadata: { resourceVersion: "1" } }));
  }
}

test("the root's certificate is put into every webhook, once, and again when an installation takes it away", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const server = new Configurations();
  const lines: string[] = [];
  const bundle = Buffer.from("PEM").toString("base64");
  const bundles = () => server.stored?.webhooks.map(({ clientConfig }) => clientConfig.caBundle);
  await world.drive(
    (async () => {
      await host.http.serve({ address: { ip: "192.0.2.1", port: 6443 } }, { onRequest: (exchange) => void server.answer(exchange) });
      const log = createLog({ program: "control", clock: host.clock, write: (line) => void lines.push(line) });
      const keeper = keepCaBundle(host, { api: connectApi({ host, url: "http://192.0.2.1:6443" }), log, name: "weft-injector", root: "PEM" });
      await host.clock.sleep(5_000);
      const two = {
        metadata: { name: "weft-injector" },
        webhooks: [
          { name: "a", clientConfig: { url: "x" } },
          { name: "b", clientConfig: { caBundle: "b2xk" } },
        ],
      };
      server.put(two);
      await host.clock.sleep(1_000);
      assert.deepEqual([bundles(), server.patches], [[bundle, bundle], 1]);
      await host.clock.sleep(600_000);
      assert.equal(server.patches, 1);
      server.put(two);
      await host.clock.sleep(1_000);
      assert.deepEqual([bundles(), server.patches], [[bundle, bundle], 2]);
      await keeper.stop();
    })(),
  );
  assert.deepEqual(
    lines.filter((line) => line.includes('"warn"')),
    [],
  );
});
