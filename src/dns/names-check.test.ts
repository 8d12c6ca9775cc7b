import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { SocketAddress } from "#host/net.ts";
import { realHost } from "#host/real/real.ts";
import { silentLog } from "#run/log.ts";
import { checkNodeNames, startDns, startNodeNames } from "./dns.ts";
import { resultOf } from "./names-check.ts";
import { OwnQuestion } from "./own-question.ts";

const DOMAIN = "cluster.local";
const ZONE = { domain: DOMAIN, reverse: [], namespaces: [], names: {} };

describe("whether questions come to this very program", () => {
  const host = realHost();
  const open: { close(): Promise<void> }[] = [];
  after(async () => {
    for (const each of open) await each.close();
  });
  const serve = async (address: SocketAddress, own?: OwnQuestion) => {
    const first = own === undefined ? {} : { first: own.handler };
    const server = await startDns(host, { address, reusePort: true, upstreams: () => [], zone: () => ZONE, ...first });
    open.push(server);
    return server.address;
  };
  const anywhere = { ip: "127.0.0.1", port: 0 };

  test("they do", async () => {
    const own = new OwnQuestion(host, DOMAIN);
    assert.equal(await own.ask(await serve(anywhere, own)), "this program");
  });
  test("another program is asked, of this version or of one before", async () => {
    const own = new OwnQuestion(host, DOMAIN);
    assert.equal(await own.ask(await serve(anywhere)), "another");
    assert.equal(await own.ask(await serve(anywhere, new OwnQuestion(host, DOMAIN))), "another");
  });
  test("two share the address, and each finds itself", async () => {
    const [one, two] = [new OwnQuestion(host, DOMAIN), new OwnQuestion(host, DOMAIN)];
    const address = await serve(anywhere, one);
    await serve(address, two);
    assert.deepEqual([await one.ask(address), await two.ask(address)], ["this program", "this program"]);
  });
  test("nobody is asked", async () => {
    const silent = await host.net.bind({ address: anywhere }, () => undefined);
    assert.equal(await new OwnQuestion(host, DOMAIN).ask(silent.address), "nobody");
    silent.close();
  });
});

test("what a probe is told", async () => {
  const at = { asked: { ip: "10.96.0.10", port: 53 }, listens: { ip: "10.96.0.10", port: 10253 } };
  const checked = (reached: "this program" | "another" | "nobody", waiting?: string) => {
    const own = { ask: () => Promise.resolve(reached) } as unknown as OwnQuestion;
    return { ...at, own, waitsFor: () => waiting };
  };
  assert.deepEqual(await resultOf("ready", checked("this program")), { ok: true, text: "answers at 10.96.0.10:53" });
  assert.match((await resultOf("ready", checked("another"))).text, /^questions to 10\.96\.0\.10:53 are answered by another program/);
  assert.match((await resultOf("ready", checked("nobody"))).text, /^questions to 10\.96\.0\.10:53 are not answered: the node's agent/);
  assert.deepEqual(await resultOf("ready", checked("this program", "a zone")), { ok: false, text: "waits for a zone" });
  assert.deepEqual(await resultOf("alive", checked("nobody", "a zone")), { ok: true, text: "waits for a zone" });
  assert.deepEqual(await resultOf("alive", checked("another")), { ok: true, text: "answers" });
  assert.deepEqual(await resultOf("alive", checked("nobody")), { ok: false, text: "questions to 10.96.0.10:10253 are not answered" });
  assert.deepEqual(await resultOf("well", checked("nobody")), { ok: false, text: '"well" is no check; alive and ready are' });
});

test("who waits for a start is told when it is done", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  world.network.assign("10.96.0.10", "node-1");
  await world.drive(
    (async () => {
      const [folder, checks] = ["/run/weft/names", "/tmp/checks.sock"];
      await host.files.makeDirectory(folder);
      await host.files.makeDirectory("/tmp");
      const ready = (waitMs: number) => checkNodeNames(host, checks, { check: "ready", waitMs });
      assert.match((await ready(0)).text, /^\/tmp\/checks\.sock does not answer: /);
      const config = { dnsAddress: "10.96.0.10", clusterDomain: DOMAIN };
      const names = await startNodeNames(host, { config, zoneFile: `${folder}/zone.json`, resolvers: "/etc/resolv.conf", checks }, silentLog, (error) =>
        assert.fail(String(error)),
      );
      assert.deepEqual(await ready(0), { ok: false, text: `waits for the names of the cluster in ${folder}/zone.json, which the node's agent writes` });
      assert.equal((await checkNodeNames(host, checks, { check: "alive", waitMs: 0 })).ok, true);
      const begun = host.clock.now();
      const waiting = ready(20_000);
      await host.clock.sleep(2_000);
      await host.files.writeAtomic(`${folder}/zone.json`, JSON.stringify(ZONE));
      await host.clock.sleep(2_000);
      // As the agent's rules: what is asked at port 53 comes to the other one, and its answer back from port 53.
      const clients = new Map<number, SocketAddress>();
      const back = await host.net.bind({ address: { ip: "10.96.0.10", port: 5353 } }, ({ bytes }) => {
        const client = clients.get(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0));
        if (client !== undefined) front.send(bytes.slice(), client);
      });
      const front = await host.net.bind({ address: { ip: "10.96.0.10", port: 53 } }, ({ bytes, from }) => {
        clients.set(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), from);
        back.send(bytes.slice(), { ip: "10.96.0.10", port: 10253 });
      });
      assert.deepEqual(await waiting, { ok: true, text: "answers at 10.96.0.10:53" });
      const tookMs = host.clock.now() - begun;
      assert.ok(tookMs >= 4_000 && tookMs < 6_500, `${tookMs} ms`);
      front.close();
      back.close();
      await names.stop();
      assert.equal((await ready(0)).ok, false);
    })(),
  );
});
