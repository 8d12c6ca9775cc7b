/** What holds of patches and of server-side apply whatever the objects are. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isRecord } from "#model/decode.ts";
import { KINDS } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { applyConfiguration, type Applied } from "#apiserver/apply/apply.ts";
import { managedFieldsOf } from "#apiserver/apply/managed-fields.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicMergePatch } from "./strategic-merge-patch.ts";

const seed = process.env["WEFT_TEST_SEED"];
const parameters = { numRuns: process.env["WEFT_TEST_LONG"] === "1" ? 5000 : 300, ...(seed === undefined ? {} : { seed: Number(seed) }) };

/** Few names, so that objects meet. */
const names = fc.constantFrom("a", "b", "c");
const text = fc.constantFrom("1", "2", "3");
const unique = <T extends object>(item: fc.Arbitrary<T>, key: keyof T) => fc.uniqueArray(item, { maxLength: 3, selector: (each) => each[key] });
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const container = fc.record({ name: names, image: optional(text), env: optional(unique(fc.record({ name: names, value: text }), "name")) });
const pod = fc.record({
  labels: optional(fc.dictionary(names, text, { maxKeys: 3 })),
  containers: unique(container, "name"),
  nodeSelector: optional(fc.dictionary(names, text, { maxKeys: 3 })),
  tolerations: optional(fc.array(fc.record({ key: names }), { maxLength: 2 })),
  hostname: optional(text),
});
type Pod = typeof pod extends fc.Arbitrary<infer T> ? T : never;

/** Without what is absent, as JSON has it. */
const json = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const objectOf = ({ labels, ...spec }: Pod): KubeObject =>
  json({ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "a", labels }, spec }) as unknown as KubeObject;
const object = pod.map(objectOf);
const { schema } = KINDS.Pod;

/** The merge patch that leads from one document to another. */
function mergePatchOf(from: unknown, to: unknown): unknown {
  if (!isRecord(from) || !isRecord(to)) return to;
  const fields = [...new Set([...Object.keys(from), ...Object.keys(to)])].filter((name) => JSON.stringify(from[name]) !== JSON.stringify(to[name]));
  return Object.fromEntries(fields.map((name) => [name, Object.hasOwn(to, name) ? mergePatchOf(from[name], to[name]) : null]));
}

/** Every list by key as a set: their order says nothing here. */
function unordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unordered).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, field]) => [name, unordered(field)]));
}

/** Without empty lists and maps, which mean what absent ones do. */
function filled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(filled);
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).map(([name, field]) => [name, filled(field)] as const);
  return Object.fromEntries(
    entries.filter(([, field]) => field !== undefined && (typeof field !== "object" || field === null || Object.keys(field).length > 0)),
  );
}

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) for (const inner of Object.values(Object.freeze(value))) frozen(inner);
  return value;
}

describe("patches", () => {
  test("a merge patch leads from any object to any other", () => {
    fc.assert(
      fc.property(object, object, (from, to) => assert.deepEqual(applyMergePatch(frozen(from), frozen(mergePatchOf(from, to))), to)),
      parameters,
    );
  });

  test("a strategic patch applied twice is applied once, and changes no input", () => {
    fc.assert(
      fc.property(object, object, (target, patch) => {
        const once = applyStrategicMergePatch(frozen(target), frozen(patch), schema);
        assert.deepEqual(applyStrategicMergePatch(frozen(once), patch, schema), once);
      }),
      parameters,
    );
  });

  test("a strategic patch keeps every item of a list by key, and every field of an item, that it does not name", () => {
    fc.assert(
      fc.property(object, object, (target, patch) => {
        const merged = unordered(applyStrategicMergePatch(target, patch, schema));
        // The same by key: a map of items merges as maps do.
        const keyed = (value: unknown): unknown => byKey(value);
        assert.deepEqual(byKey(merged), byKey(unordered(restoreLists(applyMergePatch(keyed(target), keyed(patch))))));
      }),
      parameters,
    );
  });

  test("a JSON patch of a merge patch's kind gives the same", () => {
    fc.assert(
      fc.property(object, object, (from, to) => {
        const whole = [{ op: "replace", path: "", value: to }];
        assert.deepEqual(applyJsonPatch(frozen(from), whole), to);
        const fields = Object.entries(to).map(([name, value]) => ({ op: "add", path: `/${name}`, value }));
        assert.deepEqual(applyJsonPatch(from, fields), { ...from, ...to });
      }),
      parameters,
    );
  });
});

const keyedLists = new Set(["containers", "env"]);

/** Lists by key as objects whose fields are the items. */
function byKey(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(byKey);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (!keyedLists.has(name) || !Array.isArray(field)) return [name, byKey(field)];
      return [name, Object.fromEntries((field as readonly { readonly name: string }[]).map((item) => [item.name, byKey(item)]))];
    }),
  );
}

function restoreLists(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(restoreLists);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      keyedLists.has(name) && isRecord(field) ? Object.values(field).map(restoreLists) : restoreLists(field),
    ]),
  );
}

describe("server-side apply", () => {
  const writer = (manager: string) => ({ manager, apiVersion: "v1", time: "2026-01-01T00:00:00Z", subresource: undefined });
  const bare: KubeObject = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "a" } };

  function apply(live: KubeObject, config: KubeObject, manager: string, force = true): KubeObject {
    const applied = applyConfiguration(KINDS.Pod, frozen(live), frozen(config), writer(manager), force);
    assert.ok(!Array.isArray(applied), JSON.stringify(applied));
    const { object: next, managedFields } = applied as Applied;
    return json({ ...next, metadata: { ...next.metadata, managedFields } });
  }
  const plain = (value: KubeObject) => unordered(filled({ ...value, metadata: { ...value.metadata, managedFields: undefined } }));

  test("what is applied is there, and applying it again changes nothing", () => {
    fc.assert(
      fc.property(object, object, (first, second) => {
        const live = apply(apply(bare, first, "one"), second, "two");
        assert.deepEqual(apply(live, second, "two"), live);
        const named = unordered(applyStrategicMergePatch(live, second, schema));
        assert.deepEqual(named, unordered(live), "nothing of the configuration is missing");
      }),
      parameters,
    );
  });

  test("who no longer names a field takes it away, unless another manager has it", () => {
    fc.assert(
      fc.property(object, object, (mine, theirs) => {
        const alone = apply(bare, theirs, "other");
        const both = apply(alone, mine, "me");
        const left = apply(both, bare, "me");
        assert.deepEqual(
          managedFieldsOf(left)
            .map(({ manager }) => manager)
            .filter((manager) => manager === "me"),
          [],
        );
        // What "me" changed by force is gone with it; all else of the other's is as it was.
        const kept = JSON.stringify(plain(left));
        const conflicting = Array.isArray(applyConfiguration(KINDS.Pod, alone, mine, writer("me"), false));
        if (!conflicting) assert.equal(kept, JSON.stringify(plain(alone)));
      }),
      parameters,
    );
  });

  test("one manager's configuration replaces its own of before", () => {
    fc.assert(
      fc.property(object, object, (first, second) => {
        assert.deepEqual(plain(apply(apply(bare, first, "me"), second, "me")), plain(apply(bare, second, "me")));
      }),
      parameters,
    );
  });
});
