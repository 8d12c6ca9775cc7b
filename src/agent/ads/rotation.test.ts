import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { certificateService, meshCa } from "#ca/ca.ts";
import { newMeshRoot } from "#ca/root.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { silentLog } from "#run/log.ts";
import { SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { DELTA_SDS } from "#xds/xds.ts";
import { startAds } from "./ads.ts";

const HOUR_MS = 3_600_000;
const CONTROL = { ip: "192.0.2.1", port: 15_012 };

it("a proxy gets a new certificate and key at half life, and keeps the old one while control is away", async () => {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const elapsedHours = (): number => (world.clock.now() - world.startMs) / HOUR_MS;
  const pass = async (hours: number): Promise<void> => {
    for (let half = 0; half < hours * 2; half++) await world.pass(HOUR_MS / 2);
  };
  const root = await world.drive(newMeshRoot(host));
  const methods = certificateService(meshCa(host, root), () => ({ namespace: "default", serviceAccount: "a" }));
  const serve = () => world.drive(host.rpc.serve({ address: CONTROL, methods }));
  let control = await serve();

  const ads = startAds(host, { channel: host.rpc.connect({ address: CONTROL }), log: silentLog });
  const path = "/run/xds.sock";
  await world.drive(ads.add({ namespace: "default", name: "a", uid: "u", serviceAccount: "a" }, { path }));
  const received: { atHours: number; leaf: X509Certificate }[] = [];
  const call = host.rpc.connect({ address: { path } }).call(
    DELTA_SDS,
    {},
    {
      onMessage(message) {
        const { nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, message);
        const { type } = fromBinary(SecretSchema, resources[0]?.resource?.value ?? new Uint8Array());
        assert.ok(type.case === "tlsCertificate");
        const chain = type.value.certificateChain?.specifier.value;
        received.push({ atHours: Math.round(elapsedHours() * 10) / 10, leaf: new X509Certificate(Buffer.from(chain as Uint8Array)) });
        call.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: XDS_TYPES.secret, responseNonce: nonce })));
      },
      onClose: () => undefined,
    },
  );
  call.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: XDS_TYPES.secret, resourceNamesSubscribe: ["default"] })));

  await pass(7);
  assert.deepEqual(
    received.map(({ atHours }) => atHours),
    [0, 6],
  );
  const [first, second] = received.map(({ leaf }) => leaf);
  assert.ok(first && second);
  assert.notEqual(first.publicKey.export({ type: "spki", format: "pem" }), second.publicKey.export({ type: "spki", format: "pem" }));
  assert.equal(second.subjectAltName, "URI:spiffe://cluster.local/ns/default/sa/a");

  await world.drive(control.close());
  await pass(7);
  assert.equal(received.length, 2, "at 12 h it could not be renewed, and what there is lasts until 18 h");
  control = await serve();
  await pass(1);
  assert.equal(received.length, 3);
  assert.ok((received[2]?.leaf.validToDate.getTime() ?? 0) > world.clock.now() + 10 * HOUR_MS);
  await world.drive(ads.stop());
  await world.drive(control.close());
});
