import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { jsonPatch } from "./json-patch-diff.ts";
import { applyJsonPatch } from "#apiserver/patch/json-patch.ts";

it("says what changed, and nothing else", () => {
  const before = { metadata: { name: "a", labels: { "app.kubernetes.io/name": "x", old: "1" } }, spec: { containers: [{ name: "one" }] } };
  const after = {
    metadata: { name: "a", labels: { "app.kubernetes.io/name": "y" }, annotations: { "a~b": "1" } },
    spec: { containers: [{ name: "zero" }, { name: "one" }] },
  };
  assert.deepEqual(jsonPatch(before, after), [
    { op: "remove", path: "/metadata/labels/old" },
    { op: "replace", path: "/metadata/labels/app.kubernetes.io~1name", value: "y" },
    { op: "add", path: "/metadata/annotations", value: { "a~b": "1" } },
    { op: "replace", path: "/spec/containers", value: [{ name: "zero" }, { name: "one" }] },
  ]);
  assert.deepEqual(jsonPatch(before, structuredClone(before)), []);
});

it("applied to the first value it gives the second", () => {
  const object = fc.dictionary(fc.stringMatching(/^[a-z~/]{1,3}$/), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 });
  fc.assert(
    fc.property(object, object, (before, after) => {
      const plain = JSON.parse(JSON.stringify({ before, after })) as { before: object; after: object };
      assert.deepEqual(applyJsonPatch(plain.before, jsonPatch(plain.before, plain.after)), plain.after);
    }),
  );
});
