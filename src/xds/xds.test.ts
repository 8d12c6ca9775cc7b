import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Clock } from "#host/clock.ts";
import type { RpcReceiver } from "#host/rpc.ts";
import type { EncodedResource, ProxyPlan, ProxyPlans } from "#model/plan/proxy-plan.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { DELTA_ADS, startXds, STREAM_ADS } from "./xds.ts";
import type { Xds } from "./xds.ts";

const { cluster: CDS, endpoints: EDS, listener: LDS, routes: RDS } = XDS_TYPES;
type Content = Readonly<Record<string, Readonly<Record<string, string>>>>;

const encoded = new Map<string, EncodedResource>();
/** The same content is the same object, as compilers promise. */
function resource(name: string, version: string): EncodedResource {
  const key = `${name} ${version}`;
  const made = encoded.get(key) ?? { name, version, bytes: Buffer.from(key) };
  encoded.set(key, made);
  return made;
}

function planOf(content: Content): ProxyPlan {
  return {
    resources: new Map(
      Object.entries(content).map(([typeUrl, versions]) => [
        typeUrl,
        new Map(Object.entries(versions).map(([name, version]) => [name, resource(name, version)])),
      ]),
    ),
  };
}

class Plans implements ProxyPlans {
  plan: ProxyPlan | undefined;
  readonly #listeners = new Set<() => void>();
  planOf(proxy: string): ProxyPlan | undefined {
    return proxy === "default/a" ? this.plan : undefined;
  }
  onChange(changed: () => void) {
    this.#listeners.add(changed);
    return { close: () => this.#listeners.delete(changed) };
  }
  set(content: Content): void {
    this.plan = planOf(content);
    for (const listener of this.#listeners) listener();
  }
}

/** A client of one stream that the test speaks for, message by message. */
function open(xds: Xds, method: string, pod = "default/a") {
  const sent: Uint8Array[] = [];
  const ended: { code: number; message: string }[] = [];
  const start = xds.methods[method];
  assert.ok(start);
  const receiver: RpcReceiver = start({
    metadata: { "weft-pod": pod },
    peer: { address: "test", certificate: undefined },
    send: (message) => void sent.push(message),
    end: (code = 0, message = "") => void ended.push({ code, message }),
  });
  const delta = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void =>
    receiver.onMessage(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
  const world = (request: MessageInitShape<typeof DiscoveryRequestSchema>): void =>
    receiver.onMessage(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, request)));
  /** What came since last asked, one line an update: "Cluster +a@1 -b". */
  const take = (): string[] =>
    sent.splice(0).map((bytes) => {
      const last = method === DELTA_ADS ? fromBinary(DeltaDiscoveryResponseSchema, bytes) : fromBinary(DiscoveryResponseSchema, bytes);
      nonce = last.nonce;
      type = last.typeUrl;
      const short = last.typeUrl.split(".").at(-1) ?? "";
      if (last.$typeName === "envoy.service.discovery.v3.DiscoveryResponse")
        return [short, ...last.resources.map((any) => Buffer.from(any.value).toString().replace(" ", "@"))].join(" ");
      return [short, ...last.resources.map((each) => `+${each.name}@${each.version}`), ...last.removedResources.map((name) => `-${name}`)].join(" ");
    });
  let nonce = "";
  let type = "";
  const ack = (error?: string): void =>
    delta({ typeUrl: type, responseNonce: nonce, ...(error === undefined ? {} : { errorDetail: { code: 3, message: error } }) });
  return { delta, world, take, ack, ended, receiver, nonce: () => nonce };
}

function start(content: Content): { xds: Xds; plans: Plans; rejections: string[] } {
  const plans = new Plans();
  plans.plan = planOf(content);
  const rejections: string[] = [];
  const clock = { now: () => 5 } as Clock;
  const xds = startXds(
    { clock },
    {
      plans,
      authorize: (call) => (call.metadata["weft-pod"] === "default/a" ? { proxy: "default/a" } : { refused: "pod default/b is not bound to node node-1" }),
      rejected: (...args) => void rejections.push(args.join(" ")),
    },
  );
  return { xds, plans, rejections };
}

describe("delta ADS", () => {
  it("sends everything to a wildcard, what is asked for by name to others, then only what changed", () => {
    const { xds, plans } = start({ [CDS]: { a: "1", b: "1" }, [EDS]: { a: "1", b: "1", c: "1" } });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: CDS });
    assert.deepEqual(client.take(), ["Cluster +a@1 +b@1"]);
    client.ack();
    client.delta({ typeUrl: EDS, resourceNamesSubscribe: ["a", "c"] });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment +a@1 +c@1"]);
    client.ack();
    plans.set({ [CDS]: { a: "1", b: "2" }, [EDS]: { a: "2", b: "2", c: "1" } });
    assert.deepEqual(client.take(), ["Cluster +b@2"]);
    client.ack();
    assert.deepEqual(client.take(), ["ClusterLoadAssignment +a@2"]);
    client.ack();
    plans.set({ [CDS]: { a: "1", b: "2" }, [EDS]: { a: "2", b: "3", c: "1" } });
    assert.deepEqual(client.take(), []);
  });

  it("adds in the order clusters, endpoints, listeners, routes, and removes clusters last", () => {
    const { xds, plans } = start({ [CDS]: { old: "1" }, [EDS]: { old: "1" }, [LDS]: { l: "1" }, [RDS]: { r: "1" } });
    const client = open(xds, DELTA_ADS);
    for (const request of [
      { typeUrl: CDS },
      { typeUrl: LDS },
      { typeUrl: EDS, resourceNamesSubscribe: ["old"] },
      { typeUrl: RDS, resourceNamesSubscribe: ["r"] },
    ]) {
      client.delta(request);
      for (let updates = client.take(); updates.length > 0; updates = client.take()) client.ack();
    }
    plans.set({ [CDS]: { new: "1" }, [EDS]: { new: "1" }, [LDS]: { l: "2" }, [RDS]: { r: "2" } });
    const seen: string[] = [];
    for (let updates = client.take(); updates.length > 0; updates = client.take()) {
      seen.push(...updates);
      if (updates[0] === "Cluster +new@1") client.delta({ typeUrl: EDS, resourceNamesSubscribe: ["new"] });
      if (updates[0] === "Cluster -old") client.delta({ typeUrl: EDS, resourceNamesUnsubscribe: ["old"] });
      client.ack();
    }
    assert.deepEqual(seen, ["Cluster +new@1", "ClusterLoadAssignment +new@1", "Listener +l@2", "RouteConfiguration +r@2", "Cluster -old"]);
  });

  it("gathers changes while an update is in flight and skips what was undone", () => {
    const { xds, plans } = start({ [CDS]: { a: "1" } });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: CDS });
    assert.deepEqual(client.take(), ["Cluster +a@1"]);
    plans.set({ [CDS]: { a: "2" } });
    plans.set({ [CDS]: { a: "3", b: "1" } });
    plans.set({ [CDS]: { a: "1", b: "2" } });
    assert.deepEqual(client.take(), []);
    client.ack();
    assert.deepEqual(client.take(), ["Cluster +b@2"]);
  });

  it("sends a client that returns only what differs from what it kept, and what is gone", () => {
    const { xds } = start({ [CDS]: { a: "1", b: "2" }, [EDS]: { a: "1" } });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: CDS, resourceNamesSubscribe: ["*"], initialResourceVersions: { a: "1", b: "1", c: "1" } });
    assert.deepEqual(client.take(), ["Cluster +b@2"]);
    client.ack();
    assert.deepEqual(client.take(), ["Cluster -c"]);
    client.ack();
    client.delta({ typeUrl: EDS, resourceNamesSubscribe: ["a"], initialResourceVersions: { a: "1" } });
    assert.deepEqual(client.take(), []);
  });

  it("answers who asks by name: again when it asks again, and that it is not there", () => {
    const { xds, plans } = start({ [EDS]: { a: "1" } });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: EDS, resourceNamesSubscribe: ["a", "x"] });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment +a@1 -x"]);
    client.ack();
    client.delta({ typeUrl: EDS, resourceNamesSubscribe: ["a"] });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment +a@1"]);
    client.ack();
    plans.set({ [EDS]: { a: "1", x: "1" } });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment +x@1"]);
    client.ack();
    client.delta({ typeUrl: EDS, resourceNamesUnsubscribe: ["a"] });
    plans.set({ [EDS]: { a: "2", x: "1" } });
    assert.deepEqual(client.take(), []);
  });

  it("answers a wildcard even when there is nothing", () => {
    const { xds } = start({ [LDS]: {} });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: LDS });
    assert.deepEqual(client.take(), ["Listener"]);
  });

  it("records a rejection with the proxy's words, does not repeat what was rejected, and sends the next version", () => {
    const { xds, plans, rejections } = start({ [CDS]: { a: "1" } });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: CDS });
    client.take();
    client.ack("cluster a: no such filter");
    assert.deepEqual(client.take(), []);
    assert.deepEqual(rejections, [`default/a ${CDS} cluster a: no such filter`]);
    assert.deepEqual(xds.status(), [
      { proxy: "default/a", types: [{ typeUrl: CDS, resources: 1, acknowledged: false, rejection: { message: "cluster a: no such filter", atMs: 5 } }] },
    ]);
    plans.set({ [CDS]: { a: "2" } });
    assert.deepEqual(client.take(), ["Cluster +a@2"]);
    client.ack();
    assert.equal(xds.status()[0]?.types[0]?.acknowledged, true);
  });

  it("keeps what a proxy has when its plan is gone, and forgets the stream when it closes", () => {
    const { xds, plans } = start({ [CDS]: { a: "1" } });
    const client = open(xds, DELTA_ADS);
    client.delta({ typeUrl: CDS });
    client.take();
    client.ack();
    plans.plan = undefined;
    client.delta({ typeUrl: LDS });
    assert.deepEqual(client.take(), []);
    client.receiver.onClose?.();
    assert.deepEqual(xds.status(), []);
  });

  it("refuses a pod that the caller may not speak for, and bytes that are no request", () => {
    const { xds } = start({ [CDS]: { a: "1" } });
    assert.deepEqual(open(xds, DELTA_ADS, "default/b").ended, [{ code: 7, message: "pod default/b is not bound to node node-1" }]);
    const client = open(xds, DELTA_ADS);
    client.receiver.onMessage(Buffer.from("ffffff", "hex"));
    assert.equal(client.ended[0]?.code, 3);
  });
});

describe("state-of-the-world ADS", () => {
  it("repeats all of a type when one changes, and drops clusters only after the listeners", () => {
    const { xds, plans } = start({ [CDS]: { a: "1", b: "1" }, [LDS]: { l: "1" } });
    const client = open(xds, STREAM_ADS);
    client.world({ typeUrl: CDS });
    assert.deepEqual(client.take(), ["Cluster a@1 b@1"]);
    client.world({ typeUrl: CDS, responseNonce: client.nonce() });
    client.world({ typeUrl: LDS });
    assert.deepEqual(client.take(), ["Listener l@1"]);
    client.world({ typeUrl: LDS, responseNonce: client.nonce() });
    plans.set({ [CDS]: { a: "2" }, [LDS]: { l: "2" } });
    assert.deepEqual(client.take(), ["Cluster a@2 b@1"]);
    client.world({ typeUrl: CDS, responseNonce: client.nonce() });
    assert.deepEqual(client.take(), ["Listener l@2"]);
    client.world({ typeUrl: LDS, responseNonce: client.nonce() });
    assert.deepEqual(client.take(), ["Cluster a@2"]);
  });

  it("follows the names of the last request and ignores a stale one", () => {
    const { xds, plans } = start({ [EDS]: { a: "1", b: "1" } });
    const client = open(xds, STREAM_ADS);
    client.world({ typeUrl: EDS, resourceNames: ["a"] });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment a@1"]);
    const first = client.nonce();
    client.world({ typeUrl: EDS, resourceNames: ["a"], responseNonce: first });
    client.world({ typeUrl: EDS, resourceNames: ["a", "b"], responseNonce: first });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment a@1 b@1"]);
    client.world({ typeUrl: EDS, resourceNames: ["a"], responseNonce: first });
    client.world({ typeUrl: EDS, resourceNames: ["a", "b"], responseNonce: client.nonce() });
    plans.set({ [EDS]: { a: "1", b: "2" } });
    assert.deepEqual(client.take(), ["ClusterLoadAssignment a@1 b@2"]);
  });
});
