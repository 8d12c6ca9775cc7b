/**
 * What `npm test` does: lint, then every test, then one closing line. `--long` runs everything instead of a seeded
 * sample: tests that generate cases read WEFT_TEST_LONG and WEFT_TEST_SEED, and the seed of a run is printed.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { lint } from "./lint.ts";
import { root, runCommand } from "./run-command.ts";

const started = performance.now();
const long = process.argv.includes("--long");
const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const seed = process.env["WEFT_TEST_SEED"] ?? String(Math.floor(Math.random() * 0x7fffffff));
const folders = ["src", "tools", "sim", "test", "bench", "examples"].filter((folder) => existsSync(join(root, folder)));
const files = patterns.length > 0 ? patterns : folders.flatMap(testsIn);

const clean = await lint();
console.log(`seed  ${seed}${long ? "  (long)" : "  (a sample; npm run test:long runs everything)"}`);
const tests = await runCommand(
  [
    process.execPath,
    "--test",
    "--test-concurrency=2",
    `--test-timeout=${long ? 1_800_000 : 300_000}`,
    "--test-reporter",
    join(root, "tools/reporter.ts"),
    "--test-reporter-destination=stdout",
    ...files,
  ],
  { inherit: true, env: { WEFT_TEST_SEED: seed, ...(long ? { WEFT_TEST_LONG: "1" } : {}) } },
);
const passed = clean && tests.status === 0;
const again = passed ? "" : `; again with this seed: WEFT_TEST_SEED=${seed} npm run ${long ? "test:long" : "test"}`;
console.log(
  `${passed ? "PASS" : "FAIL"}  lint ${clean ? "ok" : "failed"}, tests ${tests.status === 0 ? "ok" : "failed"}, ${Math.round((performance.now() - started) / 1000)} s${again}`,
);
process.exitCode = passed ? 0 : 1;

/** test/kubernetes needs a cluster of its own, and has a script of its own: npm run test:kubernetes. */
function testsIn(folder: string): readonly string[] {
  if (folder !== "test") return [`${folder}/**/*.test.ts`];
  return readdirSync(join(root, folder)).flatMap((name) => (name === "kubernetes" ? [] : [`${folder}/${name}/**/*.test.ts`]));
}
