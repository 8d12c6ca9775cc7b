import assert from "node:assert/strict";
import { test } from "node:test";
import { contractPki } from "#host/contract/rpc-pki.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { RPC_STATUS, type RpcServer, type RpcStatus } from "#host/rpc.ts";
import type { World } from "#model/world.ts";
import { controlChannel, type Replica } from "./control-channel.ts";
import { replicasOf } from "./control-plane.ts";

const pki = await contractPki();
const SERVER = "127.0.0.1";

/** Replicas that answer with their own name and the token they were shown. */
async function lab(names: readonly string[]) {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const servers = new Map<string, RpcServer>();
  const start = async (name: string): Promise<void> => {
    const tls = { ...pki.server, ca: pki.ca, requireClientCertificate: false };
    const methods = {
      "/test.Test/Method": (call: Parameters<NonNullable<Parameters<typeof host.rpc.serve>[0]["methods"][string]>>[0]) => ({
        onMessage: () => call.send(Buffer.from(`${name} ${call.metadata["authorization"] ?? ""} ${call.metadata["weft-pod"] ?? ""}`)),
        onEnd: () => call.end(),
      }),
    };
    servers.set(name, await host.rpc.serve({ address: { ip: name, port: 15012 }, tls, methods }));
  };
  for (const name of names) await start(name);
  let replicas: readonly Replica[] = names.map((ip) => ({ ip, port: 15012 }));
  let root: string | undefined = pki.ca;
  let token = "one";
  const channel = controlChannel({
    host,
    replicas: () => replicas,
    root: () => root,
    serverName: SERVER,
    token: () => (token === "" ? Promise.reject(new Error("no such file")) : Promise.resolve(token)),
  });
  const call = (): Promise<{ readonly heard: string; readonly status: RpcStatus }> =>
    world.drive(
      new Promise((resolve) => {
        let heard = "";
        const made = channel.call(
          "/test.Test/Method",
          { "weft-pod": "shop/a/uid" },
          {
            onMessage: (message) => (heard = Buffer.from(message).toString()),
            onClose: (status) => resolve({ heard, status }),
          },
        );
        made.send(Buffer.from("hello"));
        made.end();
      }),
    );
  return {
    world,
    call,
    stop: (name: string) => servers.get(name)?.close(),
    start,
    set: (change: { replicas?: readonly Replica[]; root?: string | undefined; token?: string }) => {
      if (change.replicas !== undefined) replicas = change.replicas;
      if ("root" in change) root = change.root;
      if (change.token !== undefined) token = change.token;
    },
    channel,
  };
}

test("a call reaches a replica with the node's token of that moment", async () => {
  const { call, set } = await lab(["10.0.0.1"]);
  assert.equal((await call()).heard, "10.0.0.1 Bearer one shop/a/uid");
  set({ token: "two" });
  assert.equal((await call()).heard, "10.0.0.1 Bearer two shop/a/uid");
});

test("a replica that is gone is left for the next one, and calls stay there", async () => {
  const { call, stop } = await lab(["10.0.0.1", "10.0.0.2"]);
  const first = (await call()).heard.split(" ")[0] ?? "";
  await stop(first);
  assert.equal((await call()).status.code, RPC_STATUS.unavailable);
  const second = (await call()).heard.split(" ")[0];
  assert.notEqual(second, first);
  assert.equal((await call()).heard.split(" ")[0], second);
});

test("what is missing is named, and is asked for again by the next call", async () => {
  const { call, set } = await lab(["10.0.0.1"]);
  const cases = [
    { change: { root: undefined }, message: /there is no mesh root yet \(ConfigMap weft-root\)/, back: { root: pki.ca } },
    { change: { replicas: [] }, message: /no replica of 127\.0\.0\.1 is ready/, back: { replicas: [{ ip: "10.0.0.1", port: 15012 }] } },
    { change: { token: "" }, message: /cannot read this agent's token: no such file/, back: { token: "one" } },
    { change: { root: pki.stranger.certificate }, message: /not signed by the caller's CA/, back: { root: pki.ca } },
  ];
  for (const { change, message, back } of cases) {
    set(change);
    assert.match((await call()).status.message, message);
    set(back);
    assert.equal((await call()).status.code, RPC_STATUS.ok);
  }
});

test("closing ends what is open", async () => {
  const { channel, world } = await lab(["10.0.0.1"]);
  const ended: number[] = [];
  channel.call("/test.Test/Method", {}, { onMessage: () => undefined, onClose: ({ code }) => void ended.push(code) });
  await world.pass(10);
  assert.deepEqual(ended, []);
  channel.close();
  await world.pass(10);
  assert.deepEqual(ended, [RPC_STATUS.cancelled]);
});

test("replicas are the ready endpoints of the Service's port", () => {
  const slice = (name: string, namespace: string, service: string) => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace, labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [
      { name: "grpc-xds", port: 15012, protocol: "TCP" },
      { name: "https-webhook", port: 15017, protocol: "TCP" },
    ],
    endpoints: [
      { addresses: ["10.0.0.1"], conditions: { ready: true } },
      { addresses: ["10.0.0.2"], conditions: { ready: false } },
      { addresses: ["10.0.0.3"] },
    ],
  });
  const world = {
    Service: new Map([
      [
        "weft-system/weft-control",
        { apiVersion: "v1", kind: "Service", metadata: { name: "weft-control" }, spec: { ports: [{ name: "grpc-xds", port: 15012 }] } },
      ],
    ]),
    EndpointSlice: new Map([
      ["weft-system/a", slice("a", "weft-system", "weft-control")],
      ["default/a", slice("a", "default", "weft-control")],
      ["weft-system/b", slice("b", "weft-system", "other")],
    ]),
  } as unknown as World;
  const want = ["10.0.0.1", "10.0.0.3"].map((ip) => ({ ip, port: 15012 }));
  assert.deepEqual(replicasOf(world, "weft-control.weft-system.svc:15012"), want);
  assert.deepEqual(replicasOf(world, "weft-control.weft-system.svc:15013"), []);
  assert.deepEqual(replicasOf({}, "192.0.2.1:15012"), [{ ip: "192.0.2.1", port: 15012 }]);
});
