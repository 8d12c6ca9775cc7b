/** What a change of the World sends to whom: only what changed, and only to the proxies that it concerns. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ObjectChange } from "#client/informer.ts";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import type { Clock } from "#host/clock.ts";
import type { RpcReceiver } from "#host/rpc.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { findKind } from "#model/kinds.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { DELTA_ADS, startXds } from "#xds/xds.ts";
import { MeshPlans } from "./mesh-plans.ts";

const base = readFileSync(new URL("../compile/xds/testdata/base.yaml", import.meta.url), "utf8");
const world = imagineWorld(objectsOf(base));
const plans = new MeshPlans();
plans.apply(Object.values(world).flatMap((objects) => [...(objects as ReadonlyMap<string, KubeObject>).values()].map(written)));
const xds = startXds(
  { clock: { now: () => 0 } as Clock },
  {
    plans,
    authorize: ({ metadata }) => ({ proxy: metadata["weft-pod"] ?? "" }),
    connected: (proxy) => plans.follow(proxy),
  },
);
/** "pod Type +name -name", of all proxies together. */
const sent: string[] = [];
const proxies = ["shop/api-v1", "shop/api-v2", "shop/web", "istio-system/istio-ingressgateway"].map((name) => {
  const pod = [...(world.Pod?.keys() ?? [])].find((key) => key.startsWith(name)) ?? assert.fail(name);
  follow(pod, name.split("/")[1] ?? "");
  return pod;
});
sent.length = 0;

function objectsOf(yaml: string): readonly KubeObject[] {
  const { objects, problems } = admitManifests(parseManifests("test", yaml));
  assert.deepEqual(problems, []);
  return objects;
}

function written(object: KubeObject): ObjectChange {
  const kind = findKind(object.apiVersion, object.kind)?.id ?? assert.fail(object.kind);
  return { kind, key: objectKey(object), before: undefined, after: object } as unknown as ObjectChange;
}

/** As an agent does for a proxy: asks for everything, and acknowledges it. */
function follow(pod: string, shown: string): void {
  let receiver: RpcReceiver | undefined;
  const send = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void =>
    receiver?.onMessage(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
  const method = xds.methods[DELTA_ADS] ?? assert.fail("delta ADS");
  const unanswered: { typeUrl: string; responseNonce: string }[] = [];
  receiver = method({
    metadata: { "weft-pod": pod },
    peer: { address: "test", certificate: undefined },
    end: () => undefined,
    send(bytes) {
      const { typeUrl, nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
      sent.push([shown, typeUrl.split(".").at(-1), ...resources.map(({ name }) => `+${name}`), ...removedResources.map((name) => `-${name}`)].join(" "));
      unanswered.push({ typeUrl, responseNonce: nonce });
      queueMicrotask(() => unanswered.splice(0).forEach(send));
    },
  });
  for (const typeUrl of Object.values(XDS_TYPES)) send({ typeUrl, resourceNamesSubscribe: ["*"] });
}

async function after(...objects: readonly KubeObject[]): Promise<readonly string[]> {
  await new Promise(setImmediate);
  sent.length = 0;
  plans.apply(objects.map(written));
  await new Promise(setImmediate);
  return sent.splice(0).sort((a, b) => (a < b ? -1 : 1));
}

const sliceOf = (service: string): EndpointSlice =>
  [...(world.EndpointSlice?.values() ?? [])].find(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === service) ?? assert.fail(service);

test("an endpoint that is not ready any more is one resource to each proxy", async () => {
  const slice = sliceOf("web");
  const unready = { ...slice, endpoints: slice.endpoints.map((endpoint) => ({ ...endpoint, conditions: { ready: false } })) };
  const one = "ClusterLoadAssignment +outbound|80||web.shop.svc.cluster.local";
  assert.deepEqual(await after(unready as KubeObject), [`api-v1 ${one}`, `api-v2 ${one}`, `istio-ingressgateway ${one}`, `web ${one}`]);
  assert.equal((await after(slice)).length, proxies.length);
});

test("an endpoint that goes is one resource for each port and subset that had it, and its neighbours' stay", async () => {
  const slice = sliceOf("api");
  const changes = await after({ ...slice, endpoints: slice.endpoints.slice(1) } as KubeObject);
  assert.equal(changes.length, proxies.length);
  for (const change of changes)
    assert.deepEqual(change.split(" ").slice(1), [
      "ClusterLoadAssignment",
      "+outbound|8080|v1|api.shop.svc.cluster.local",
      "+outbound|8080||api.shop.svc.cluster.local",
      "+outbound|9000|v1|api.shop.svc.cluster.local",
      "+outbound|9000||api.shop.svc.cluster.local",
    ]);
  await after(slice);
});

test("a policy for some pods goes to their proxies alone", async () => {
  const [policy] = objectsOf(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: web, namespace: shop }
spec: { selector: { matchLabels: { app: web } }, rules: [{ from: [{ source: { namespaces: [shop] } }] }] }
`);
  assert.ok(policy);
  assert.deepEqual(await after(policy), ["web Listener +virtualInbound"]);
});

test("a route for sidecars is one route configuration to each sidecar", async () => {
  const [route] = objectsOf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api, namespace: shop }
spec: { hosts: [api], http: [{ route: [{ destination: { host: api, subset: v2, port: { number: 8080 } } }] }] }
`);
  assert.ok(route);
  const one = "RouteConfiguration +8080";
  assert.deepEqual(await after(route), [`api-v1 ${one}`, `api-v2 ${one}`, `web ${one}`]);
});

test("what no proxy needs to know is sent to nobody", async () => {
  const [pod] = [...(world.Pod?.values() ?? [])];
  const [rule] = [...(world.DestinationRule?.values() ?? [])];
  assert.ok(pod && rule);
  const touched = { ...pod, metadata: { ...pod.metadata, resourceVersion: "99", annotations: { ...pod.metadata.annotations, note: "x" } } };
  const observed = { ...rule, metadata: { ...rule.metadata, generation: 9 }, status: { observedGeneration: "9" } };
  const [other] = objectsOf("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x, namespace: shop }\n");
  assert.ok(other);
  assert.deepEqual(await after(touched as KubeObject, observed as KubeObject, other), []);
});
