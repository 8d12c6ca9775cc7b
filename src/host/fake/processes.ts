/**
 * Processes in memory: a program is a function that a scenario registers by name; a few of the usual ones are there
 * already. A signal ends a program that does not handle it.
 */
import type { Files } from "#host/files.ts";
import { HostError } from "#host/host-error.ts";
import type { ChildProcess, ExitStatus, Processes, ProcessResult, RunOptions, SpawnOptions } from "#host/processes.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface FakeProgramIo {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly netns: string | undefined;
  stdout(text: string | Uint8Array): void;
  stderr(text: string | Uint8Array): void;
  exit(code: number): void;
  /** undefined: the end of stdin. */
  onStdin(received: (bytes: Uint8Array | undefined) => void): void;
  onSignal(received: (name: string) => void): void;
}

export type FakeProgram = (io: FakeProgramIo) => void;

const SIGNAL_NAMES = new Map([
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [9, "SIGKILL"],
  [15, "SIGTERM"],
]);

/** The programs and processes of one simulated machine. */
export class FakeMachine {
  readonly programs = new Map<string, FakeProgram>([
    ["true", (io) => io.exit(0)],
    ["false", (io) => io.exit(1)],
    ["echo", echo],
    ["cat", cat],
    ["env", env],
    ["sleep", () => undefined],
  ]);
  readonly children = new Map<number, FakeChild>();
  #lastPid = 100;

  nextPid(): number {
    this.#lastPid += 1;
    return this.#lastPid;
  }
}

function echo(io: FakeProgramIo): void {
  io.stdout(`${io.args.join(" ")}\n`);
  io.exit(0);
}

function cat(io: FakeProgramIo): void {
  io.onStdin((bytes) => (bytes === undefined ? io.exit(0) : io.stdout(bytes)));
}

function env(io: FakeProgramIo): void {
  io.stdout(
    Object.entries(io.env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  io.exit(0);
}

export function fakeProcesses(world: VirtualTime, machine: FakeMachine, files: Files): Processes {
  const spawn = (options: SpawnOptions): FakeChild => {
    const [name] = options.command;
    const program = machine.programs.get(name) ?? machine.programs.get(name.slice(name.lastIndexOf("/") + 1));
    if (program === undefined || name.startsWith("/no/")) throw new HostError("ENOENT", name, "cannot start: no such program; is it installed?");
    const child = new FakeChild({ world, machine, files, options });
    machine.children.set(child.pid, child);
    world.plan(1, () => child.start(program));
    return child;
  };
  return {
    spawn,
    run: (command, options) => run(world, spawn, { command, options: options ?? {} }),
    signal(pid, signal) {
      const child = machine.children.get(pid);
      if (child === undefined) return false;
      if (signal !== 0) child.kill(SIGNAL_NAMES.get(signal) ?? `SIG${signal}`);
      return true;
    },
  };
}

interface ChildOptions {
  readonly world: VirtualTime;
  readonly machine: FakeMachine;
  readonly files: Files;
  readonly options: SpawnOptions;
}

export class FakeChild implements ChildProcess {
  readonly pid: number;
  readonly #of: ChildOptions;
  #stdin: ((bytes: Uint8Array | undefined) => void) | undefined;
  /** Written before the program asked for it. */
  readonly #typed: (Uint8Array | undefined)[] = [];
  #onSignal: ((name: string) => void) | undefined;
  #isOver = false;

  constructor(options: ChildOptions) {
    this.#of = options;
    this.pid = options.machine.nextPid();
  }

  start(program: FakeProgram): void {
    if (this.#isOver) return;
    const { command, env: environment, netns, output } = this.#of.options;
    const print = (into: "onStdout" | "onStderr") => (text: string | Uint8Array) => this.#print(output, into, Buffer.from(text));
    program({
      args: command.slice(1),
      env: environment,
      netns,
      stdout: print("onStdout"),
      stderr: print("onStderr"),
      exit: (code) => this.#end({ code, signal: undefined }),
      onStdin: (received) => {
        this.#stdin = received;
        for (const bytes of this.#typed.splice(0)) received(bytes);
      },
      onSignal: (received) => {
        this.#onSignal = received;
      },
    });
  }

  #print(output: SpawnOptions["output"], into: "onStdout" | "onStderr", bytes: Buffer): void {
    if (typeof output === "string" || this.#isOver) return;
    if ("file" in output) void this.#of.files.append(output.file, bytes);
    else output[into](bytes);
  }

  #end(status: ExitStatus): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#of.machine.children.delete(this.pid);
    this.#of.world.plan(0, () => this.#of.options.onExit(status));
  }

  writeStdin(bytes: Uint8Array): void {
    this.#type(bytes.slice());
  }

  endStdin(): void {
    this.#type(undefined);
  }

  #type(bytes: Uint8Array | undefined): void {
    if (this.#isOver) return;
    if (this.#stdin === undefined) this.#typed.push(bytes);
    else this.#stdin(bytes);
  }

  resize(): void {
    this.kill("SIGWINCH");
  }

  kill(signal: string): void {
    if (this.#onSignal !== undefined && signal !== "SIGKILL") this.#onSignal(signal);
    else if (signal !== "SIGWINCH") this.#end({ code: undefined, signal });
  }
}

function run(
  world: VirtualTime,
  spawn: (options: SpawnOptions) => FakeChild,
  { command, options }: { readonly command: readonly [string, ...string[]]; readonly options: RunOptions },
): Promise<ProcessResult> {
  return new Promise((resolve, reject) => {
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    let cancel = (): void => undefined;
    let isLate = false;
    const child = spawn({
      command,
      env: options.env ?? {},
      ...(options.netns === undefined ? {} : { netns: options.netns }),
      output: { onStdout: (bytes) => stdout.push(bytes.slice()), onStderr: (bytes) => stderr.push(bytes.slice()) },
      onExit: ({ code }) => {
        cancel();
        if (isLate) reject(new HostError("ETIMEDOUT", command.join(" "), `did not end within ${options.timeoutMs} ms`));
        else resolve({ code: code ?? 137, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      },
    });
    if (options.stdin !== undefined) child.writeStdin(Buffer.from(options.stdin));
    child.endStdin();
    if (options.timeoutMs === undefined) return;
    cancel = world.plan(options.timeoutMs, () => {
      isLate = true;
      child.kill("SIGKILL");
    });
  });
}
