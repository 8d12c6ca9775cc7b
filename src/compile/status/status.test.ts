import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { goldenCases } from "#compile/test-golden.ts";
import { stringify } from "yaml";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey } from "#model/object.ts";
import { worldReader } from "#model/world.ts";
import { kindsWithStatus } from "./kinds-with-status.ts";
import { statusOf, warnings, withTimes } from "./status.ts";

const folder = new URL("testdata/", import.meta.url);
const base = admitManifests(parseManifests("base.yaml", readFileSync(new URL("../xds/testdata/base.yaml", import.meta.url), "utf8"))).objects;

function worldOf(input: string) {
  const { objects, problems } = admitManifests(parseManifests("case", input));
  assert.deepEqual(problems, []);
  return { objects, world: worldReader(imagineWorld([...base, ...objects])) };
}

/** The status of every object of the case, and what applying it prints. */
function answer(input: string): string {
  const { objects, world } = worldOf(input);
  return objects
    .map((object) => {
      const kind = kindsWithStatus.find((id) => world.get(id, objectKey(object)) === object);
      const status = kind === undefined ? undefined : statusOf(kind, object, world);
      const said = warnings(object, world).map((line) => `# Warning: ${line}\n`);
      return `-- ${object.kind} ${objectKey(object)} --\n${said.join("")}${stringify(status ?? null, { lineWidth: 0, aliasDuplicateObjects: false })}`;
    })
    .join("");
}

goldenCases("status", folder, answer);

describe("times of conditions", () => {
  const accepted = { conditions: [{ type: "Accepted", status: "True", reason: "Accepted", message: "" }] };
  const old = { conditions: [{ type: "Accepted", status: "True", reason: "Accepted", message: "x", lastTransitionTime: "yesterday" }] };
  it("stay while the status of the condition stays", () => {
    assert.equal(
      withTimes<{ conditions: object[] }>(accepted, old, "now", 2)
        .conditions.map((c) => JSON.stringify(c))
        .join(),
      JSON.stringify({ ...accepted.conditions[0], lastTransitionTime: "yesterday", observedGeneration: 2 }),
    );
  });
  it("are now when it changes", () => {
    const broken = { conditions: [{ ...accepted.conditions[0], status: "False" }] };
    assert.match(JSON.stringify(withTimes(broken, old, "now", undefined)), /"lastTransitionTime":"now"/);
  });
});
