import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";

export interface ProgramResult {
  /** 124 when it was ended because its time was up, as `timeout` says it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly timeoutMs?: number;
  /** Beside what this process has. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** For its standard input. */
  readonly input?: string;
}

const TIMED_OUT = 124;
const KILLED = 128;

/** Runs a program to its end; a program that is not there is an answer, too. */
export function runProgram([program, ...args]: readonly [string, ...string[]], options: ProgramOptions = {}): Promise<ProgramResult> {
  const spawned: SpawnOptions = {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  };
  return outcomeOf(spawn(program, args, spawned), options);
}

/** Collects what a started program says until it ends. */
export function outcomeOf(child: ChildProcess, { timeoutMs = 60_000, input }: Pick<ProgramOptions, "timeoutMs" | "input"> = {}): Promise<ProgramResult> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  child.stdout?.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => stderr.push(bytes));
  return new Promise((resolve) => {
    const finish = (code: number, more: string): void => {
      clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() + more });
    };
    child.on("error", (error) => finish(127, error.message));
    child.on("close", (code) => finish(timedOut ? TIMED_OUT : (code ?? KILLED), timedOut ? `\nended after ${timeoutMs} ms` : ""));
  });
}
