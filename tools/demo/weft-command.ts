/** The `weft` command of this checkout, run as a person would run it. */
import { spawn, type ChildProcess } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const checkout: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Tests choose their own, since they may run at once. */
export const CLUSTER = process.env["WEFT_DEMO_CLUSTER"] ?? "demo";

export interface WeftResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The IPC channel ends the command when this process is gone, by whatever means. */
export function startWeft(args: readonly string[], stdio: "inherit" | "pipe" = "pipe"): ChildProcess {
  return spawn(process.execPath, [join(checkout, "weft"), ...args], { cwd: checkout, stdio: [stdio === "pipe" ? "pipe" : "ignore", stdio, stdio, "ipc"] });
}

export function runWeft(args: readonly string[], timeoutMs = 60_000): Promise<WeftResult> {
  const child = startWeft(args);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdin?.end();
  child.stdout?.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => stderr.push(bytes));
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  return new Promise((resolve) =>
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 128, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    }),
  );
}

/** In the network of a node, a pod, or outside. */
export function enter(place: string, ...command: readonly string[]): Promise<WeftResult> {
  return runWeft(["enter", "--name", CLUSTER, place, "--", ...command]);
}
