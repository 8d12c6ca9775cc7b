/** The `weft` command of this checkout, run as a person would run it. */
import { spawn, type ChildProcess } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { outcomeOf, type ProgramResult } from "#tools/run-program.ts";

export const checkout: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Tests choose their own, since they may run at once. */
export const CLUSTER = process.env["WEFT_DEMO_CLUSTER"] ?? "demo";

/** The IPC channel ends the command when this process is gone, by whatever means. */
export function startWeft(args: readonly string[], stdio: "inherit" | "pipe" = "pipe"): ChildProcess {
  return spawn(process.execPath, [join(checkout, "weft"), ...args], { cwd: checkout, stdio: [stdio === "pipe" ? "pipe" : "ignore", stdio, stdio, "ipc"] });
}

export function runWeft(args: readonly string[]): Promise<ProgramResult> {
  return outcomeOf(startWeft(args));
}
