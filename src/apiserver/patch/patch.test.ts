import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KINDS } from "#model/kinds.ts";
import { applyJsonPatch, PatchError } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicMergePatch } from "./strategic-merge-patch.ts";

const rfc6902Cases = new URL("../../../../shared/upstream/json-patch/", import.meta.url).pathname;

interface Case {
  readonly comment?: string;
  readonly doc: unknown;
  readonly patch: unknown;
  readonly expected?: unknown;
  readonly error?: string;
  readonly disabled?: boolean;
}

describe("JSON patch", () => {
  test("RFC 6902's cases come out as published", (t) => {
    const file = `${rfc6902Cases}spec_tests.json`;
    if (!existsSync(file)) {
      t.skip("../shared/upstream is not there: the published cases are NOT run");
      return;
    }
    const cases = (JSON.parse(readFileSync(file, "utf8")) as readonly Case[]).filter((each) => each.disabled !== true && each.patch !== undefined);
    assert.ok(cases.length > 10);
    for (const { comment, doc, patch, expected, error } of cases) {
      if (error !== undefined) assert.throws(() => applyJsonPatch(doc, patch), PatchError, comment);
      else assert.deepEqual(applyJsonPatch(doc, patch), expected, comment);
    }
  });

  test("a patch never changes its input, whatever it is", () => {
    const operation = fc.record({
      op: fc.constantFrom("add", "remove", "replace", "move", "copy", "test"),
      path: fc.constantFrom("", "/a", "/a/0", "/a/-", "/b/c", "/b"),
      from: fc.constantFrom("/a", "/b/c"),
      value: fc.jsonValue(),
    });
    const document = fc.record({ a: fc.array(fc.jsonValue(), { maxLength: 3 }), b: fc.record({ c: fc.jsonValue() }) });
    fc.assert(
      fc.property(document, fc.array(operation, { maxLength: 5 }), (doc, patch) => {
        const before = JSON.stringify(doc);
        try {
          applyJsonPatch(doc, patch);
        } catch (error) {
          assert.ok(error instanceof PatchError, String(error));
        }
        assert.equal(JSON.stringify(doc), before);
      }),
    );
  });

  test("a field called __proto__ is a field", () => {
    const patched = applyJsonPatch({ a: {} }, JSON.parse('[{"op":"add","path":"/a/__proto__","value":{"polluted":1}}]'));
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    assert.ok(Object.hasOwn((patched as { a: object }).a, "__proto__"));
  });
});

describe("merge patch", () => {
  const cases: readonly (readonly [unknown, unknown, unknown])[] = [
    // RFC 7386, appendix A.
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, want] of cases) {
    test(`${JSON.stringify(target)} and ${JSON.stringify(patch)} give ${JSON.stringify(want)}`, () => assert.deepEqual(applyMergePatch(target, patch), want));
  }

  test("applying a patch twice is applying it once", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => {
        const once = applyMergePatch(target, patch);
        assert.deepEqual(applyMergePatch(once, patch), once);
      }),
    );
  });
});

describe("strategic merge patch", () => {
  const pod = (spec: object) => ({ spec });
  const two = pod({
    containers: [
      { name: "a", image: "a:1", env: [{ name: "X", value: "1" }] },
      { name: "b", image: "b:1" },
    ],
  });
  const cases: readonly { readonly name: string; readonly target: object; readonly patch: object; readonly want: object }[] = [
    {
      name: "items are merged by their key, and what is not named stays",
      target: two,
      patch: pod({ containers: [{ name: "a", env: [{ name: "Y", value: "2" }] }] }),
      want: pod({
        containers: [
          {
            name: "a",
            image: "a:1",
            env: [
              { name: "Y", value: "2" },
              { name: "X", value: "1" },
            ],
          },
          { name: "b", image: "b:1" },
        ],
      }),
    },
    {
      name: "$patch: delete removes an item",
      target: two,
      patch: pod({ containers: [{ name: "a", $patch: "delete" }] }),
      want: pod({ containers: [{ name: "b", image: "b:1" }] }),
    },
    {
      name: "$patch: replace replaces a list",
      target: two,
      patch: pod({ containers: [{ name: "c", image: "c:1" }, { $patch: "replace" }] }),
      want: pod({ containers: [{ name: "c", image: "c:1" }] }),
    },
    {
      name: "$setElementOrder orders, and leaves others where they stood",
      target: two,
      patch: pod({ "$setElementOrder/containers": [{ name: "b" }, { name: "a" }], containers: [{ name: "b", image: "b:2" }] }),
      want: pod({
        containers: [
          { name: "b", image: "b:2" },
          { name: "a", image: "a:1", env: [{ name: "X", value: "1" }] },
        ],
      }),
    },
    {
      name: "$deleteFromPrimitiveList removes values",
      target: { metadata: { finalizers: ["a/b", "c/d"] } },
      patch: { metadata: { "$deleteFromPrimitiveList/finalizers": ["a/b"] } },
      want: { metadata: { finalizers: ["c/d"] } },
    },
    {
      name: "$retainKeys drops what it does not name",
      target: pod({ volumes: [{ name: "v", emptyDir: {} }] }),
      patch: pod({ volumes: [{ name: "v", $retainKeys: ["name", "configMap"], configMap: { name: "c" } }] }),
      want: pod({ volumes: [{ name: "v", configMap: { name: "c" } }] }),
    },
    {
      name: "lists without a key are replaced",
      target: pod({ tolerations: [{ key: "a" }] }),
      patch: pod({ tolerations: [{ key: "b" }] }),
      want: pod({ tolerations: [{ key: "b" }] }),
    },
    { name: "null removes", target: pod({ nodeName: "n", hostNetwork: true }), patch: pod({ nodeName: null }), want: pod({ hostNetwork: true }) },
  ];
  for (const { name, target, patch, want } of cases) test(name, () => assert.deepEqual(applyStrategicMergePatch(target, patch, KINDS.Pod.schema), want));

  test("an item without its merge key is refused", () => {
    assert.throws(() => applyStrategicMergePatch(two, pod({ containers: [{ image: "x" }] }), KINDS.Pod.schema), /does not contain declared merge key: name/);
  });
});
