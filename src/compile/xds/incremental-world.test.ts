/** Whatever happened before: the incremental compiler gives the bytes that a new one gives, and derives only what it must. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { ProxyPlan } from "#model/plan/proxy-plan.ts";
import { WorldTables, type WorldChange } from "#compile/world-tables.ts";
import type { Pod } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { findKind, type KindId } from "#model/kinds.ts";
import { makeWorld, type WorldReader } from "#model/world.ts";
import { compileProxy, MeshCompiler } from "./xds.ts";

function objectsIn(file: string): readonly KubeObject[] {
  const { objects, problems } = admitManifests(parseManifests(file, readFileSync(new URL(`testdata/${file}`, import.meta.url), "utf8")));
  assert.deepEqual(problems, []);
  return objects;
}

/** WEFT_TEST_SEED repeats a run; WEFT_TEST_LONG=1 tries very many histories. */
const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 0x7fffffff));
const histories = process.env["WEFT_TEST_LONG"] === "1" ? 3000 : 80;

const base = imagineWorld(objectsIn("base.yaml"));
const written = objectsIn("variants.yaml");
const variants: readonly KubeObject[] = [...written, ...relabelled(), ...withoutEndpoints()];
const baseObjects = Object.values(base).flatMap((objects) => [...(objects as ReadonlyMap<string, KubeObject>).values()]);
const proxies = [...(base.Pod?.keys() ?? [])];
/** Of several ways to write an object the first. */
const everything = [
  ...new Map([...baseObjects, ...written.toReversed()].map((object) => [`${object.kind} ${object.apiVersion} ${objectKey(object)}`, object])).values(),
];

/** Pods that move to another version, lose their proxy or get another account. */
function relabelled(): readonly Pod[] {
  return [...(base.Pod?.values() ?? [])].flatMap((pod): Pod[] => [
    { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, version: "v3" } } },
    { ...pod, spec: { ...pod.spec, serviceAccountName: "somebody" } },
    { ...pod, spec: { ...pod.spec, containers: pod.spec.containers.filter(({ name }) => name !== "istio-proxy") } },
  ]);
}

function withoutEndpoints(): readonly EndpointSlice[] {
  return [...(base.EndpointSlice?.values() ?? [])].flatMap((slice) => [
    { ...slice, endpoints: [] },
    { ...slice, endpoints: slice.endpoints.map((endpoint) => ({ ...endpoint, conditions: { ready: false } })) },
  ]);
}

/** What the compilers read. */
const kindsInUse: readonly KindId[] = [
  "Namespace",
  "Pod",
  "Service",
  "EndpointSlice",
  "Secret",
  "VirtualService",
  "DestinationRule",
  "IstioGateway",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "Gateway",
  "HTTPRoute",
  "ReferenceGrant",
];

function kindOf(object: KubeObject): KindId {
  const info = findKind(object.apiVersion, object.kind);
  assert.ok(info);
  return info.id;
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1);
const write = (object: KubeObject): WorldChange => ({ kind: kindOf(object), key: objectKey(object), object });
const remove = (object: KubeObject): WorldChange => ({ kind: kindOf(object), key: objectKey(object) });

function makeMap(objects: readonly KubeObject[]): ReadonlyMap<string, KubeObject> {
  return new Map(objects.map((object) => [`${kindOf(object)} ${objectKey(object)}`, object]));
}

/** Names and versions, for comparison in one glance; versions are hashes of the bytes. */
function fingerprint(plan: ProxyPlan | undefined): readonly string[] {
  return [...(plan?.resources ?? [])].flatMap(([type, resources]) => [...resources.values()].map(({ name, version }) => `${type} ${name} ${version}`));
}

const pickProxy = (part: string): string => proxies.find((key) => key.includes(part)) ?? assert.fail(`no pod ${part}`);

describe("the incremental compiler", () => {
  it("is tried with changes of every kind that it reads", () => {
    const tried = new Set(variants.map(kindOf));
    assert.deepEqual(
      kindsInUse.filter((kind) => !tried.has(kind)),
      [],
    );
    const asked = new Set<KindId>();
    const tables = WorldTables.prototype.reader;
    WorldTables.prototype.reader = function (read) {
      const reader = tables.call(this, read);
      const noted =
        <A extends readonly unknown[], R>(ask: (kind: KindId, ...rest: A) => R) =>
        (kind: KindId, ...rest: A): R => {
          asked.add(kind);
          return ask(kind, ...rest);
        };
      return { get: noted(reader.get), inNamespace: noted(reader.inNamespace), all: noted(reader.all) } as WorldReader;
    };
    try {
      for (const proxy of proxies) compileProxy(makeWorld(everything), proxy);
    } finally {
      WorldTables.prototype.reader = tables;
    }
    assert.deepEqual([...asked].sort(byText), [...kindsInUse].sort(byText));
  });

  it(`agrees with a new one after any history (seed ${seed})`, () => {
    const step = fc.record({
      object: fc.constantFrom(...variants, ...baseObjects),
      action: fc.constantFrom("write" as const, "write" as const, "delete" as const),
      proxy: fc.constantFrom(...proxies),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const live = new MeshCompiler(base);
        for (const proxy of proxies.slice(0, 2)) live.follow(proxy);
        const now = new Map(makeMap(baseObjects));
        for (const { object, action, proxy } of steps) {
          live.apply([action === "write" ? write(object) : remove(object)]);
          if (action === "write") now.set(`${kindOf(object)} ${objectKey(object)}`, object);
          else now.delete(`${kindOf(object)} ${objectKey(object)}`);
          live.plan(proxy);
        }
        const world = makeWorld(now.values());
        for (const proxy of proxies) assert.deepEqual(fingerprint(live.plan(proxy)), fingerprint(compileProxy(world, proxy)), proxy);
      }),
      { seed, numRuns: histories },
    );
  });

  it("gives the same bytes whatever the order of the resources", () => {
    for (const proxy of proxies) {
      assert.deepEqual(fingerprint(compileProxy(makeWorld(everything), proxy)), fingerprint(compileProxy(makeWorld(everything.toReversed()), proxy)));
    }
  });

  it("forgets what was deleted: a plan is what it would be had the object never been", () => {
    for (const object of variants) {
      const live = new MeshCompiler(base);
      const before = fingerprint(live.plan(pickProxy("web")));
      const replaced = baseObjects.find((each) => kindOf(each) === kindOf(object) && objectKey(each) === objectKey(object));
      live.apply([write(object)]);
      live.plan(pickProxy("web"));
      live.apply([replaced === undefined ? remove(object) : write(replaced)]);
      assert.deepEqual(fingerprint(live.plan(pickProxy("web"))), before, objectKey(object));
    }
  });

  it("does not change the input", () => {
    const freeze = (value: unknown): void => {
      if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
      Object.freeze(value);
      Object.values(value).forEach(freeze);
    };
    everything.forEach(freeze);
    for (const proxy of proxies) compileProxy(makeWorld(everything), proxy);
  });

  it("says which proxies a change concerns, and only those", () => {
    const live = new MeshCompiler(base);
    for (const proxy of proxies) live.follow(proxy);
    live.changed();
    const policy = variants.find(({ kind, metadata }) => kind === "AuthorizationPolicy" && metadata.name === "api-readers");
    assert.ok(policy);
    live.apply([write(policy)]);
    assert.deepEqual(live.changed(), [pickProxy("api-v1"), pickProxy("api-v2")].sort());
    assert.deepEqual(live.changed(), []);
  });

  it("derives one endpoint set anew when one endpoint changes, and shares it among all proxies", () => {
    const live = new MeshCompiler(base);
    for (const proxy of proxies) live.plan(proxy);
    const before = live.recomputed();
    const slice = [...(base.EndpointSlice?.values() ?? [])].find(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === "api");
    assert.ok(slice);
    live.apply([write({ ...slice, endpoints: slice.endpoints.slice(1) } as KubeObject)]);
    const plans = proxies.map((proxy) => live.plan(proxy));
    const again = (name: string): number => (live.recomputed().get(name) ?? 0) - (before.get(name) ?? 0);
    assert.equal(again("load assignment"), 4, "two ports of the service, each with the subset that the endpoint was in");
    assert.equal(again("routes"), 0);
    assert.equal(again("inbound listener"), 0);
    const sets = new Set(plans.flatMap((plan) => plan?.resources.get("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment") ?? []));
    assert.equal(sets.size, 1);
  });

  it("ignores what only bookkeeping changed", () => {
    const live = new MeshCompiler(base);
    const rule = [...(base.DestinationRule?.values() ?? [])][0];
    assert.ok(rule);
    const touched = { ...rule, metadata: { ...rule.metadata, resourceVersion: "99", generation: 7 }, status: { observedGeneration: 7 } };
    assert.equal(live.apply([write(touched)]), false);
  });
});
