import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { meshKinds } from "./mesh-kinds.ts";

it("every kind that compilers of the mesh read is followed", () => {
  const read = ["mesh", "xds", "status", "inject"].flatMap((folder) => {
    const path = join(import.meta.dirname, "../../compile", folder);
    const files = readdirSync(path).filter((name) => name.endsWith(".ts") && !name.includes(".test."));
    return files.flatMap((name) =>
      [...readFileSync(join(path, name), "utf8").matchAll(/\.(?:get|all|inNamespace)\("([A-Z]\w+)"/g)].map(([, kind]) => kind ?? ""),
    );
  });
  assert.ok(read.length > 20, "the search still finds what compilers read");
  assert.deepEqual(
    [...new Set(read)].filter((kind) => kind !== "Secret" && !(meshKinds as readonly string[]).includes(kind)),
    [],
  );
});
