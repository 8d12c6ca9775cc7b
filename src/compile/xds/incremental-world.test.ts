/** Whatever happened before: the incremental compiler gives the bytes that a new one gives, and derives only what it must. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { ProxyPlan } from "#model/plan/proxy-plan.ts";
import type { WorldChange } from "#compile/world-tables.ts";
import { findKind, type KindId } from "#model/kinds.ts";
import { makeWorld } from "#model/world.ts";
import { compileProxy, MeshCompiler } from "./xds.ts";

function objectsIn(file: string): readonly KubeObject[] {
  const { objects, problems } = admitManifests(parseManifests(file, readFileSync(new URL(`testdata/${file}`, import.meta.url), "utf8")));
  assert.deepEqual(problems, []);
  return objects;
}

const base = imagineWorld(objectsIn("base.yaml"));
const variants = objectsIn("variants.yaml");
const baseObjects = Object.values(base).flatMap((objects) => [...(objects as ReadonlyMap<string, KubeObject>).values()]);
const proxies = [...(base.Pod?.keys() ?? [])];

function kindOf(object: KubeObject): KindId {
  const info = findKind(object.apiVersion, object.kind);
  assert.ok(info);
  return info.id;
}

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
  it("agrees with a new one after any history", () => {
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
      { numRuns: 25 },
    );
  });

  it("gives the same bytes whatever the order of the resources", () => {
    const objects = [...makeMap([...baseObjects, ...variants]).values()];
    for (const proxy of proxies) {
      assert.deepEqual(fingerprint(compileProxy(makeWorld(objects), proxy)), fingerprint(compileProxy(makeWorld(objects.toReversed()), proxy)));
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
    [...baseObjects, ...variants].forEach(freeze);
    for (const proxy of proxies) compileProxy(makeWorld([...baseObjects, ...variants]), proxy);
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
    assert.equal(again("load assignment"), 6, "two ports of the service, each with its two subsets");
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
