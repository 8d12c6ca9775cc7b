import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { certificateService, meshCa } from "#ca/ca.ts";
import { newMeshRoot } from "#ca/root.ts";
import type { Host } from "#host/host.ts";
import type { RpcServer } from "#host/rpc.ts";
import { realFiles } from "#host/real/files.ts";
import { realClock } from "#host/real/clock.ts";
import { realRandom } from "#host/real/random.ts";
import { realRpc } from "#host/real/rpc.ts";
import type { ProxyPlan } from "#model/plan/proxy-plan.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { silentLog } from "#run/log.ts";
import { SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { DELTA_ADS, DELTA_SDS, startXds } from "#xds/xds.ts";
import type { Xds } from "#xds/xds.ts";
import { startAds } from "./ads.ts";
import type { Ads } from "./ads.ts";
import { LastState } from "./last-state.ts";

const host: Pick<Host, "clock" | "random" | "rpc"> = { clock: realClock(), random: realRandom(), rpc: realRpc() };
const pod = { namespace: "default", name: "a", uid: "uid-a", serviceAccount: "sa-a" };
const root = await newMeshRoot(host);

let folder: string;
let control: { xds: Xds; server: RpcServer; set: (versions: Record<string, string>) => void; calls: string[]; rejections: string[] };
let ads: Ads;

async function startControl(): Promise<typeof control> {
  const calls: string[] = [];
  const rejections: string[] = [];
  let plan = planOf({ a: "1" });
  let changed = (): void => undefined;
  const xds = startXds(host, {
    plans: {
      planOf: () => plan,
      onChange(listener) {
        changed = listener;
        return { close: () => undefined };
      },
    },
    authorize(call) {
      calls.push(call.metadata["weft-pod"] ?? "");
      return { proxy: "default/a" };
    },
    rejected: (...args) => void rejections.push(args.join(" ")),
  });
  const authorize = () => ({ namespace: "default", serviceAccount: "sa-a" });
  const methods = { ...xds.methods, ...certificateService(meshCa(host, root), authorize) };
  const server = await host.rpc.serve({ address: { path: join(folder, "control.sock") }, methods });
  const set = (versions: Record<string, string>): void => {
    plan = planOf(versions);
    changed();
  };
  return { xds, server, set, calls, rejections };
}

function planOf(clusters: Record<string, string>): ProxyPlan {
  const resources = Object.entries(clusters).map(([name, version]) => [name, { name, version, bytes: Buffer.from(version) }] as const);
  const none = new Map<string, never>();
  return {
    resources: new Map([
      [XDS_TYPES.cluster, new Map(resources)],
      ...[XDS_TYPES.endpoints, XDS_TYPES.listener, XDS_TYPES.routes].map((type) => [type, none] as const),
    ]),
  };
}

/** The pod's proxy, as far as a test needs one. */
function proxy(method = DELTA_ADS) {
  const channel = host.rpc.connect({ address: { path: join(folder, "xds.sock") } });
  const received: string[] = [];
  const secrets = new Map<string, Uint8Array>();
  let last = { typeUrl: "", nonce: "" };
  const call = channel.call(
    method,
    {},
    {
      onMessage(message) {
        const response = fromBinary(DeltaDiscoveryResponseSchema, message);
        last = response;
        for (const { name, resource } of response.resources)
          if (response.typeUrl === XDS_TYPES.secret && resource !== undefined) secrets.set(name, resource.value);
        received.push(
          [
            response.typeUrl.split(".").at(-1),
            ...response.resources.map((each) => `+${each.name}@${each.version}`),
            ...response.removedResources.map((name) => `-${name}`),
          ].join(" "),
        );
      },
      onClose: () => undefined,
    },
  );
  const send = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void =>
    call.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
  const answer = (error?: string): void =>
    send({ typeUrl: last.typeUrl, responseNonce: last.nonce, ...(error === undefined ? {} : { errorDetail: { code: 3, message: error } }) });
  return { send, answer, received, secrets, close: () => channel.close() };
}

async function until(done: () => boolean): Promise<void> {
  for (const end = Date.now() + 5_000; !done();) {
    if (Date.now() > end) throw new Error("nothing happened for 5 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-ads-"));
  control = await startControl();
  ads = startAds(host, { channel: host.rpc.connect({ address: { path: join(folder, "control.sock") } }), log: silentLog });
  await ads.add(pod, { path: join(folder, "xds.sock") });
});
afterEach(async () => {
  await ads.stop();
  await control.server.close();
  rmSync(folder, { recursive: true });
});

describe("the agent's ADS", () => {
  it("tells control which pod asks, and passes updates and answers through", async () => {
    const client = proxy();
    client.send({ typeUrl: XDS_TYPES.cluster });
    await until(() => client.received.length === 1);
    assert.deepEqual(client.received, ["Cluster +a@1"]);
    assert.ok(control.calls.every((call) => call === "default/a/uid-a"));
    client.answer();
    control.set({ a: "2", b: "1" });
    await until(() => client.received.length === 2);
    assert.equal(client.received[1], "Cluster +a@2 +b@1");
    assert.equal(control.xds.busy, true, "control waits for the proxy, not for the agent");
    client.answer("no such filter");
    await until(() => !control.xds.busy);
    assert.deepEqual(control.rejections, [`default/a ${XDS_TYPES.cluster} no such filter`]);
    client.close();
  });

  it("gives the pod an SVID and the root, and nobody else the socket", async () => {
    const client = proxy(DELTA_SDS);
    client.send({ typeUrl: XDS_TYPES.secret, resourceNamesSubscribe: ["default", "ROOTCA"] });
    await until(() => client.secrets.size === 2);
    const secret = fromBinary(SecretSchema, client.secrets.get("default") ?? new Uint8Array());
    assert.ok(secret.type.case === "tlsCertificate");
    const pem = (source: { specifier: { value?: unknown } } | undefined): string => Buffer.from(source?.specifier.value as Uint8Array).toString();
    const leaf = new X509Certificate(pem(secret.type.value.certificateChain));
    assert.equal(leaf.subjectAltName, "URI:spiffe://cluster.local/ns/default/sa/sa-a");
    assert.ok(leaf.checkPrivateKey(createPrivateKey(pem(secret.type.value.privateKey))));
    const rootca = fromBinary(SecretSchema, client.secrets.get("ROOTCA") ?? new Uint8Array());
    assert.ok(rootca.type.case === "validationContext");
    assert.equal(pem(rootca.type.value.trustedCa), root.certificate);
    assert.equal(statSync(join(folder, "xds.sock")).mode & 0o777, 0o666);
    client.close();
  });

  it("serves a proxy that restarts while control is away, and catches up when it is back", async () => {
    const first = proxy();
    first.send({ typeUrl: XDS_TYPES.cluster });
    first.send({ typeUrl: XDS_TYPES.secret, resourceNamesSubscribe: ["default"] });
    await until(() => first.received.length > 0);
    first.answer();
    await until(() => first.secrets.size === 1 || first.received.length > 1);
    first.close();
    await control.server.close();

    const second = proxy();
    second.send({ typeUrl: XDS_TYPES.cluster });
    await until(() => second.received.length === 1);
    assert.deepEqual(second.received, ["Cluster +a@1"]);
    second.answer();

    control = await startControl();
    control.set({ b: "1" });
    await until(() => second.received.length === 2);
    second.answer();
    await until(() => second.received.length === 3);
    assert.deepEqual(second.received.slice(1), ["Cluster +b@1", "Cluster -a"]);
    second.close();
  });

  it("serves what its predecessor was told, key and all, while control is away, and catches up when it is back", async () => {
    const path = join(folder, "proxies.json");
    const secretOf = async (): Promise<Uint8Array | undefined> => {
      const client = proxy(DELTA_SDS);
      client.send({ typeUrl: XDS_TYPES.secret, resourceNamesSubscribe: ["default"] });
      await until(() => client.secrets.size === 1);
      client.close();
      return client.secrets.get("default");
    };
    const start = async (): Promise<void> => {
      await ads.stop();
      const lastState = await LastState.load({ clock: host.clock, files: realFiles() }, { path, log: silentLog });
      ads = startAds(host, { channel: host.rpc.connect({ address: { path: join(folder, "control.sock") } }), log: silentLog, lastState });
      await ads.add(pod, { path: join(folder, "xds.sock") });
    };
    await start();
    const before = await secretOf();
    const first = proxy();
    first.send({ typeUrl: XDS_TYPES.cluster });
    await until(() => first.received.length === 1);
    first.close();
    await control.server.close();

    await start();
    assert.deepEqual(await secretOf(), before);
    const second = proxy();
    second.send({ typeUrl: XDS_TYPES.cluster });
    await until(() => second.received.length === 1);
    assert.deepEqual(second.received, ["Cluster +a@1"]);
    second.answer();

    control = await startControl();
    control.set({ a: "1", b: "1" });
    await until(() => second.received.length === 2);
    assert.equal(second.received[1], "Cluster +b@1", "control sends what differs");
    second.answer();
    await ads.remove(pod.uid);
    await ads.stop();
    assert.doesNotMatch(readFileSync(path, "utf8"), /PRIVATE KEY/, "the key of a pod that is gone is gone");
    second.close();
  });

  it("forgets a pod's socket when the pod goes", async () => {
    await ads.remove("uid-a");
    assert.throws(() => statSync(join(folder, "xds.sock")), { code: "ENOENT" });
    assert.deepEqual(ads.status(), []);
  });
});
