import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeClusterConfig, isClusterConfig } from "./config.ts";

const cases: readonly { readonly name: string; readonly spec: unknown; readonly want: readonly string[] }[] = [
  { name: "an empty configuration is a configuration", spec: undefined, want: [] },
  {
    name: "an entry with a program is accepted",
    spec: { images: [{ match: "a*", command: ["node"], env: { A: "b" }, mounts: [{ source: ".", path: "/app" }] }] },
    want: [],
  },
  { name: "a misspelt field is named", spec: { imagess: [] }, want: ['unknown field "spec.imagess"'] },
  {
    name: "an entry without a program is refused",
    spec: { images: [{ match: "a*" }] },
    want: ["spec.images[0].command: Required value: the program to run, with its first arguments"],
  },
  {
    name: "a relative mount point is refused",
    spec: { images: [{ match: "a", command: ["x"], mounts: [{ source: "/a", path: "app" }] }] },
    want: ['spec.images[0].mounts[0].path: Invalid value: "app": must be an absolute path'],
  },
];

describe("ClusterConfig", () => {
  for (const { name, spec, want } of cases) {
    test(name, () => {
      const raw = { apiVersion: "weft.dev/v1alpha1", kind: "ClusterConfig", spec };
      assert.ok(isClusterConfig(raw));
      assert.deepEqual(decodeClusterConfig(raw).problems, want);
    });
  }
});
