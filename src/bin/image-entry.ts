/**
 * What the image starts: `weft control --kubernetes`, `weft agent --kubernetes`, `weft names --kubernetes`, `weft sidecar`,
 * `weft proxy -c FILE`, or any other command. Runs the program's bundle, which lies beside this one, in this very process.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { MEMORY_SAVER_OPTION, SMALL_HEAP_OPTIONS } from "#model/config.ts";

interface Program {
  readonly bundle: string;
  /** Of Node, at its start. */
  readonly nodeOptions?: readonly string[];
  /** It is not in the path of every request: what it does may take a little longer. */
  readonly savesMemory?: true;
  /** The embedded cluster has a program of the same name, which the image does not have. */
  readonly needs?: "--kubernetes";
}

const PROGRAMS: Readonly<Record<string, Program>> = {
  control: { bundle: "kubernetes-control", savesMemory: true, needs: "--kubernetes" },
  agent: { bundle: "kubernetes-agent", savesMemory: true, needs: "--kubernetes" },
  names: { bundle: "node-names", savesMemory: true, needs: "--kubernetes" },
  sidecar: { bundle: "sidecar", nodeOptions: SMALL_HEAP_OPTIONS },
  proxy: { bundle: "proxy", nodeOptions: SMALL_HEAP_OPTIONS },
};
const COMMAND: Program = { bundle: "weft" };
/** These start a cluster of their own, from a checkout and as processes of the machine. */
const NOT_IN_AN_IMAGE = new Set(["up", "enter"]);

function fail(message: string): never {
  process.stderr.write(`weft: ${message}\n`);
  process.exit(2);
}

async function main(folder: string, [first = "--help", ...rest]: readonly string[]): Promise<void> {
  if (NOT_IN_AN_IMAGE.has(first)) fail(`"weft ${first}" needs a checkout on a machine of its own; this is the image for Kubernetes`);
  const program = PROGRAMS[first] ?? COMMAND;
  const { bundle, nodeOptions = [], savesMemory, needs } = program;
  if (needs !== undefined && !rest.includes(needs)) fail(`"weft ${first}" runs on Kubernetes only: give ${needs}`);
  const file = `${folder}/${bundle}.mjs`;
  if (!existsSync(file)) fail(`this image has no ${bundle}.mjs, which "weft ${first}" runs; was it made by \`npm run image\`?`);
  const args = program === COMMAND ? [first === "version" ? "--version" : first, ...rest] : rest.filter((argument) => argument !== needs);
  // Sizes of the heap are taken from the command line when Node starts, and never again: it starts a second time (25 ms).
  if (nodeOptions.length > 0) become(process.execPath, [...nodeOptions, file, ...args]);
  if (savesMemory === true) setFlagsFromString(MEMORY_SAVER_OPTION);
  process.argv = [process.execPath, file, ...args];
  await import(file);
}

function become(program: string, args: readonly string[]): never {
  if (process.execve === undefined) fail("this Node cannot replace its process (process.execve); the image needs Node 24");
  return process.execve(program, [program, ...args], process.env);
}

await main(dirname(fileURLToPath(import.meta.url)), process.argv.slice(2));
