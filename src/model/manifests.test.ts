import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { admitManifests, parseManifests } from "./manifests.ts";

const upstream = new URL("../../../shared/upstream/", import.meta.url).pathname;

describe("manifests", () => {
  test("documents and lists of a file are told apart, each with its line", () => {
    const text =
      "# one\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
    const { objects, problems } = admitManifests(parseManifests("f.yaml", text));
    assert.deepEqual(problems, []);
    assert.deepEqual(
      objects.map((object) => object.metadata.name),
      ["a", "b"],
    );
    assert.deepEqual(
      parseManifests("f.yaml", text).objects.map(({ line }) => line),
      [2, 7],
    );
  });

  test("broken YAML, unknown kinds and bad fields are problems with a line, and the rest stays", () => {
    const text = [
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}",
      "apiVersion: v1\nkind: [Namespace",
      "apiVersion: v9\nkind: Thing\nmetadata: {name: a}",
      "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 0, targetPort: 80}]}",
    ].join("\n---\n");
    const { objects, problems } = admitManifests(parseManifests("f.yaml", text));
    assert.equal(objects.length, 1);
    assert.deepEqual(
      problems.map(({ line }) => line),
      [7, 8, 12],
    );
    assert.equal(problems[1]?.message, 'no matches for kind "Thing" in version "v9"');
    assert.equal(problems[2]?.message, "Service default/s: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive");
  });

  test("upstream's manifests of known kinds have no unknown field and no bad value", (t) => {
    if (!existsSync(upstream)) {
      t.skip("../shared/upstream is not there: upstream's manifests are NOT read");
      return;
    }
    const files = globSync(`${upstream}{istio/samples,gateway-api/conformance-manifests}/**/*.yaml`);
    assert.ok(files.length > 100);
    const found = files.flatMap((file) => admitManifests(parseManifests(file.slice(upstream.length), readFileSync(file, "utf8"))).problems);
    const expected = [
      /^no matches for kind/,
      /CONTROLLER_NAME|PLACEHOLDER_\w+_ADDRS/, // placeholders that the suite replaces
      /unknown field "spec.rules\[\d\].retry"/, // experimental channel
      /mtls-echo-v1: .*Not found: "ca-certs"/, // Kubernetes refuses it too
    ];
    const serious = found.filter(({ message }) => !expected.some((pattern) => pattern.test(message)));
    assert.deepEqual(serious, []);
  });
});
