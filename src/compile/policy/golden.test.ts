import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { goldenCases } from "#compile/test-golden.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { planOfKept } from "#compile/node/test-kept.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { formatProvenance } from "#model/provenance.ts";
import { makeWorld } from "#model/world.ts";
import { writeTable } from "#wire/nft/write.ts";
import { POLICY_TABLE } from "./policy.ts";

const folder = new URL("testdata/", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, folder), "utf8");

/** Of node-1; without the base chains, which are always the same. */
function answer(input: string): string {
  const objects = [read("base.yaml"), input].flatMap((text) => {
    const admitted = admitManifests(parseManifests("case", text));
    assert.deepEqual(admitted.problems, []);
    return admitted.objects;
  });
  const { tables, problems } = planOfKept(makeWorld(objects), { node: "node-1", settings: DEFAULT_SETTINGS });
  const table = tables.find(({ name }) => name === POLICY_TABLE);
  assert.ok(table !== undefined);
  const text = writeTable({
    ...table,
    sets: table.sets.filter(({ name }) => name !== "selves"),
    chains: table.chains.filter(({ base }) => base === undefined),
  });
  const said = problems.map(({ by, message }) => `${formatProvenance(by)}: ${message}\n`).join("");
  return `-- nft --\n${text}${said === "" ? "" : `-- problems --\n${said}`}`;
}

goldenCases("network policies", folder, answer);
