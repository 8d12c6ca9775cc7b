/** Everything that is checked without running the product: types, style, folder rules, dead code, format. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root, runCommand } from "./run-command.ts";

/** Named, because through a linked node_modules oxlint would read foreign files. */
const folders = ["src", "sim", "test", "tools", "bench", "examples"].filter((folder) => existsSync(join(root, folder)));

const checks: readonly { readonly name: string; readonly command: readonly [string, ...string[]] }[] = [
  { name: "types", command: ["tsc", "-p", "."] },
  { name: "style", command: ["oxlint", "--type-aware", "--quiet", ...folders] },
  { name: "imports", command: ["depcruise", "--output-type", "err-long", ...folders] },
  { name: "dead code", command: ["knip", "--no-progress"] },
  { name: "format", command: ["prettier", "--check", "--log-level", "warn", "."] },
];

/** Prints one line a check, and the output of those that fail. */
export async function lint(): Promise<boolean> {
  let clean = true;
  // Two at a time: the machines this runs on have two cores.
  const queue = [...checks];
  const worker = async (): Promise<void> => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      const result = await runCommand(check.command);
      const ok = result.status === 0;
      console.log(`${ok ? "ok  " : "FAIL"}  ${check.name.padEnd(10)} ${result.seconds.toFixed(1)} s`);
      if (!ok) console.log(`      ${check.command.join(" ")}\n${result.output}`);
      clean &&= ok;
    }
  };
  await Promise.all([worker(), worker()]);
  return clean;
}

if (import.meta.main) process.exitCode = (await lint()) ? 0 : 1;
