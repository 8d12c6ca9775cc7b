/** Runs the `weft` command of a checkout as a user. */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { User } from "./user.ts";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Resolves when the output matches; rejects when the command ended before, or after `timeoutMs`. */
  until(pattern: RegExp, timeoutMs: number): Promise<void>;
  readonly result: Promise<CommandResult>;
}

export interface WeftOptions {
  readonly cwd?: string;
  /** Standard input; absent: none. */
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export function startWeft(user: User, args: readonly string[], options: WeftOptions = {}): RunningCommand {
  const [program, ...rest] = [...user.prefix, process.execPath, join(user.checkout, "weft"), ...args];
  const child = spawn(program ?? "", rest, { env: { ...user.env, ...options.env }, cwd: options.cwd ?? user.checkout, stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => undefined).end(options.stdin ?? "");
  let stdout = "";
  let stderr = "";
  const listeners = new Set<() => void>();
  const told = (): void => listeners.forEach((listener) => listener());
  child.stdout?.on("data", (bytes: Buffer) => {
    stdout += bytes.toString();
    told();
  });
  child.stderr?.on("data", (bytes: Buffer) => {
    stderr += bytes.toString();
    told();
  });
  const output = (): string => stdout + stderr;
  const result = new Promise<CommandResult>((resolve) => child.on("close", (code) => resolve({ code: code ?? 128, stdout, stderr })));
  return {
    child,
    output,
    result,
    until: (pattern, timeoutMs) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void => {
          clearTimeout(timer);
          listeners.delete(check);
          if (error === undefined) resolve();
          else reject(error);
        };
        const check = (): void => {
          if (pattern.test(output())) end();
        };
        const timer = setTimeout(() => end(new Error(`no ${String(pattern)} within ${timeoutMs} ms in:\n${output()}`)), timeoutMs);
        listeners.add(check);
        void result.then(() => end(pattern.test(output()) ? undefined : new Error(`ended before ${String(pattern)}:\n${output()}`)));
        check();
      }),
  };
}

export async function weft(user: User, args: readonly string[], options: WeftOptions = {}): Promise<CommandResult> {
  return startWeft(user, args, options).result;
}
