import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const root: string = dirname(dirname(fileURLToPath(import.meta.url)));

export interface CommandResult {
  readonly status: number;
  readonly output: string;
  readonly seconds: number;
}

/** Runs a program of node_modules/.bin, or any other, in the checkout; output and errors together. */
export function runCommand(
  command: readonly [string, ...string[]],
  options: { readonly inherit?: boolean; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<CommandResult> {
  const started = performance.now();
  const env = { ...process.env, ...options.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` };
  return new Promise((resolve, reject) => {
    const [program, ...args] = command;
    const child = spawn(program, args, { cwd: root, env, stdio: options.inherit ? "inherit" : ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (bytes: Buffer): void => {
      output += bytes.toString();
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    child.on("error", reject);
    child.on("close", (code) => resolve({ status: code ?? 1, output, seconds: (performance.now() - started) / 1000 }));
  });
}
