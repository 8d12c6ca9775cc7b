import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Host } from "#host/host.ts";
import type { SocketAddress } from "#host/net.ts";
import { realHost } from "#host/real/real.ts";
import type { DnsZone } from "#model/plan/node-plan.ts";
import { silentLog } from "#run/log.ts";
import { decodeMessage } from "#wire/dns/decode.ts";
import { encodeMessage } from "#wire/dns/encode.ts";
import { questionMessage } from "#wire/dns/question.ts";
import { startDns, startNodeNames } from "./dns.ts";

const FOLDER = "/run/weft/names";
const DNS = { ip: "10.96.0.10", port: 10253 };
const NAME = "web.shop.svc.cluster.local";
const A = 1;

function zone(address: string): DnsZone {
  return { domain: "cluster.local", reverse: [], namespaces: ["shop"], names: { [NAME]: [{ type: "A", address }] } };
}

/** The address that the name has; "silence" when nothing comes. */
async function lookUp(host: Pick<Host, "net" | "clock">, server: SocketAddress, waitMs = 1_000): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = await host.net.bind({ address: { ip: "0.0.0.0", port: 0 } }, ({ bytes }) => {
    const [answer] = decodeMessage(bytes).answers;
    resolve(answer !== undefined && "address" in answer.data ? answer.data.address : JSON.stringify(answer));
  });
  const timer = host.clock.after(waitMs, () => resolve("silence"));
  socket.send(encodeMessage(questionMessage({ id: 7, name: NAME, type: A, edns: undefined })), server);
  try {
    return await promise;
  } finally {
    timer.cancel();
    socket.close();
  }
}

test("names are answered from the file when the agent has written it, and anew when it is replaced", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  world.network.assign(DNS.ip, "node-1");
  await world.drive(
    (async () => {
      await host.files.makeDirectory(FOLDER);
      const config = { dnsAddress: DNS.ip, clusterDomain: "cluster.local" };
      const options = { config, zoneFile: `${FOLDER}/zone.json`, resolvers: "/etc/resolv.conf", checks: "/tmp/checks.sock" };
      const names = await startNodeNames(host, options, silentLog, (error) => assert.fail(String(error)));
      assert.equal(await lookUp(host, DNS), "silence", "a name is not denied before anything is known");
      await host.files.writeAtomic(options.zoneFile, JSON.stringify(zone("10.96.0.20")));
      await host.clock.sleep(500);
      assert.equal(await lookUp(host, DNS), "10.96.0.20");
      await host.files.writeAtomic(options.zoneFile, JSON.stringify(zone("10.96.0.21")));
      await host.clock.sleep(2_000);
      assert.equal(await lookUp(host, DNS), "10.96.0.21");
      await host.files.writeAtomic(options.zoneFile, "{");
      await host.clock.sleep(2_000);
      assert.equal(await lookUp(host, DNS), "10.96.0.21", "what cannot be read changes nothing");
      await names.stop();
    })(),
  );
});

test("an address that cannot be had ends the program", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const failures: unknown[] = [];
  await world.drive(
    (async () => {
      await host.files.makeDirectory(FOLDER);
      await host.files.writeAtomic(`${FOLDER}/zone.json`, JSON.stringify(zone("10.96.0.20")));
      await host.net.bind({ address: DNS }, () => undefined);
      const config = { dnsAddress: DNS.ip, clusterDomain: "cluster.local" };
      const options = { config, zoneFile: `${FOLDER}/zone.json`, resolvers: "/etc/resolv.conf", checks: "/tmp/checks.sock" };
      const names = await startNodeNames(host, options, silentLog, (error) => failures.push(error));
      await host.clock.sleep(1_000);
      await names.stop();
    })(),
  );
  assert.match(String(failures), /address already in use/);
});

test("a server leaves its address to its successor, which was there before, and no question meets silence", async () => {
  const host = realHost();
  const start = (address: SocketAddress) => startDns(host, { address, reusePort: true, upstreams: () => [], zone: () => zone("10.96.0.20") });
  let server = await start({ ip: "127.0.0.1", port: 0 });
  for (let i = 0; i < 20; i += 1) {
    const next = await start(server.address);
    assert.equal(await lookUp(host, next.address), "10.96.0.20");
    await server.close();
    assert.equal(await lookUp(host, next.address), "10.96.0.20");
    server = next;
  }
  await server.close();
});

test("an address that the node has not yet says so by its code", async () => {
  const starting = startDns(realHost(), { address: { ip: "192.0.2.53", port: 5353 }, reusePort: true, upstreams: () => [], zone: () => zone("") });
  await assert.rejects(starting, { name: "HostError", code: "EADDRNOTAVAIL" });
});
