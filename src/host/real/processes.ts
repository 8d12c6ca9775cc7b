/**
 * Child processes. A child that starts in another network namespace is forked while this thread is in it: no helper
 * program in between, so the pid is the child's own.
 */
import { spawn as spawnChild } from "node:child_process";
import type { ChildProcess as NodeChild, StdioOptions } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { constants } from "node:os";
import { HostError } from "#host/host-error.ts";
import type { ChildProcess, ExitStatus, Processes, ProcessResult, RunOptions, SpawnOptions } from "#host/processes.ts";
import { keepInheritedFiles } from "./inherited-files.ts";
import { insideNetns } from "./network-namespace.ts";
import { openTerminal } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** How long output may still come after the exit, when a grandchild holds the pipe open. */
const LATE_OUTPUT_MS = 250;

export function realProcesses(): Processes {
  return { spawn, run, signal };
}

function spawn(options: SpawnOptions): ChildProcess {
  keepInheritedFiles();
  const terminal = options.terminal === undefined ? undefined : openTerminal(options.terminal);
  const file = "object" === typeof options.output && "file" in options.output ? openSync(options.output.file, "a") : undefined;
  try {
    const child = start(options, terminal, file);
    return new Child(child, options, terminal);
  } catch (error) {
    terminal?.close();
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
    terminal?.closeOtherEnd();
  }
}

function start(options: SpawnOptions, terminal: Terminal | undefined, file: number | undefined): NodeChild {
  // setsid(1) makes the terminal the child's controlling one, so that Ctrl-C and job control work.
  const isPlain = terminal === undefined || options.terminal?.controlling === false;
  const [program, ...args] = isPlain ? options.command : (["setsid", "--ctty", "--", ...options.command] as const);
  const stdio = terminal === undefined ? stdioOf(options, file) : terminal.stdio;
  const child = insideNetns(options.netns, () =>
    spawnChild(program, args, {
      env: { ...options.env },
      stdio,
      detached: options.detached ?? false,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    }),
  );
  if (child.pid !== undefined) return child;
  // The error itself comes as an event, later; what it says is known.
  child.on("error", () => undefined);
  throw whyNot(options);
}

function whyNot({ command: [program], cwd }: Pick<SpawnOptions, "command" | "cwd">): HostError {
  if (cwd !== undefined && !existsSync(cwd)) return new HostError("ENOENT", program, `cannot start: its working directory ${cwd} does not exist`);
  if (program.includes("/") && existsSync(program)) return new HostError("EACCES", program, "cannot start: the file is not executable");
  return new HostError("ENOENT", program, "cannot start: no such program; is it installed?");
}

function stdioOf(options: SpawnOptions, file: number | undefined): StdioOptions {
  const stdin = options.stdin ?? "ignore";
  if (options.output === "inherit") return "inherit";
  if (options.output === "ignore") return [stdin, "ignore", "ignore"];
  return file === undefined ? [stdin, "pipe", "pipe"] : [stdin, file, file];
}

class Child implements ChildProcess {
  readonly pid: number;
  readonly #child: NodeChild;
  readonly #terminal: Terminal | undefined;

  constructor(child: NodeChild, options: SpawnOptions, terminal: Terminal | undefined) {
    this.#child = child;
    this.#terminal = terminal;
    this.pid = child.pid ?? 0;
    const { output } = options;
    if (typeof output === "object" && "onStdout" in output) {
      child.stdout?.on("data", output.onStdout);
      child.stderr?.on("data", output.onStderr);
      terminal?.onOutput(output.onStdout);
    }
    // Writing to a child that is gone is no error of ours; nor is an output that breaks off (ECONNRESET was seen once, of the
    // socket pairs that Node makes): it is over, and how the child ended is told all the same.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on("error", () => undefined);
    this.#reportExit(options.onExit);
  }

  /** After its output, if that ends soon. */
  #reportExit(onExit: (status: ExitStatus) => void): void {
    let status: ExitStatus | undefined;
    const report = (): void => {
      if (status === undefined) return;
      clearTimeout(late);
      this.#terminal?.close();
      const final = status;
      status = undefined;
      onExit(final);
    };
    let late: NodeJS.Timeout | undefined;
    this.#child.on("exit", (code, signal) => {
      status = { code: code ?? undefined, signal: signal ?? undefined };
      if (this.#terminal !== undefined) this.#terminal.onEnd(report);
      late = setTimeout(report, LATE_OUTPUT_MS);
    });
    if (this.#terminal === undefined) this.#child.on("close", report);
  }

  writeStdin(bytes: Uint8Array): void {
    if (this.#terminal === undefined) this.#child.stdin?.write(bytes);
    else this.#terminal.write(bytes);
  }

  endStdin(): void {
    // Ctrl-D is how a terminal says the end.
    if (this.#terminal === undefined) this.#child.stdin?.end();
    else this.#terminal.write(Buffer.from([4]));
  }

  resize(columns: number, rows: number): void {
    this.#terminal?.resize(columns, rows);
  }

  kill(signal: string): void {
    this.#child.kill(signal as NodeJS.Signals);
  }
}

/** More output than this of a command that we only ask something is a mistake. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

function run(command: readonly [string, ...string[]], options: RunOptions = {}): Promise<ProcessResult> {
  return new Promise((resolve, reject) => {
    const output: { stdout: Uint8Array[]; stderr: Uint8Array[]; bytes: number } = { stdout: [], stderr: [], bytes: 0 };
    let timer: NodeJS.Timeout | undefined;
    let problem: HostError | undefined;
    const collect = (into: Uint8Array[]) => (bytes: Uint8Array) => {
      output.bytes += bytes.length;
      if (output.bytes <= MAX_OUTPUT_BYTES) into.push(bytes);
      else stop("EFBIG", `printed more than ${MAX_OUTPUT_BYTES} bytes`);
    };
    const stop = (code: string, message: string): void => {
      problem ??= new HostError(code, command.join(" "), message);
      child.kill("SIGKILL");
    };
    const child = spawn({
      command,
      env: options.env ?? inheritedEnvironment(),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.netns === undefined ? {} : { netns: options.netns }),
      stdin: options.stdin === undefined ? "ignore" : "pipe",
      output: { onStdout: collect(output.stdout), onStderr: collect(output.stderr) },
      onExit: (status) => {
        clearTimeout(timer);
        if (problem !== undefined) return reject(problem);
        resolve({ code: codeOf(status), stdout: Buffer.concat(output.stdout).toString(), stderr: Buffer.concat(output.stderr).toString() });
      },
    });
    if (options.stdin !== undefined) {
      child.writeStdin(Buffer.from(options.stdin));
      child.endStdin();
    }
    const { timeoutMs } = options;
    if (timeoutMs !== undefined) timer = setTimeout(() => stop("ETIMEDOUT", `did not end within ${timeoutMs} ms`), timeoutMs);
  });
}

function inheritedEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}

/** As a shell counts: 128 and the signal's number. */
function codeOf({ code, signal: name }: ExitStatus): number {
  return code ?? 128 + (constants.signals[name as keyof typeof constants.signals] ?? 0);
}

function signal(pid: number, number: number): boolean {
  try {
    process.kill(pid, number);
    return true;
  } catch (cause) {
    const { code = "EIO", message } = cause as Error & { code?: string };
    if (code === "ESRCH") return false;
    throw new HostError(code, `process ${pid}`, message, { cause });
  }
}
