import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { newMeshRoot } from "#ca/root.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { silentLog } from "#run/log.ts";
import { servingCertificate } from "./serving-certificate.ts";

const HOUR_MS = 3_600_000;

test("a serving certificate is the root's, for its names, and is renewed at half of its life on the listener that has it", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const root = await newMeshRoot(host);
  const dnsNames = ["weft-control.weft-system.svc", "weft-control.weft-system.svc.cluster.local"];
  const shown: string[] = [];
  const serving = await world.drive(servingCertificate(host, { root, dnsNames, log: silentLog, renewed: ({ certificate }) => void shown.push(certificate) }));
  const first = new X509Certificate(serving.current.certificate);
  assert.ok(first.verify(new X509Certificate(root.certificate).publicKey));
  assert.equal(first.subjectAltName, dnsNames.map((name) => `DNS:${name}`).join(", "));
  const server = await world.drive(
    host.http.serve({ address: { ip: "192.0.2.1", port: 15017 }, tls: serving.current }, { onRequest: (exchange) => exchange.respond(200, {}, "") }),
  );
  const isTrusted = async (): Promise<number> => {
    const tls = { ca: root.certificate, serverName: dnsNames[0] ?? "" };
    return (await world.drive(host.http.request({ method: "GET", url: "https://192.0.2.1:15017/", tls }))).status;
  };
  for (let hour = 0; hour < 11; hour++) await world.pass(HOUR_MS - 1);
  assert.deepEqual(shown, []);
  for (let hour = 0; hour < 2; hour++) await world.pass(HOUR_MS - 1);
  assert.equal(shown.length, 1);
  assert.equal(serving.current.certificate, shown[0]);
  server.renew(serving.current);
  assert.equal(await isTrusted(), 200);
  serving.stop();
});
