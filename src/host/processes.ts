/** Child processes. */
export interface Processes {
  spawn(options: SpawnOptions): ChildProcess;
  /** Runs to its end; output as text. Never rejects for an exit status; rejects (HostError) when it could not start. */
  run(command: readonly [string, ...string[]], options?: RunOptions): Promise<ProcessResult>;
  /** Sends a signal to a pid; false when there is no such process. */
  signal(pid: number, signal: number): boolean;
}

export interface SpawnOptions {
  readonly command: readonly [string, ...string[]];
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Network namespace file to start in. */
  readonly netns?: string;
  /** Where output goes: a file (appended), our handlers, our own terminal ("inherit", with standard input too), or nowhere. */
  readonly output:
    { readonly file: string } | { readonly onStdout: (bytes: Uint8Array) => void; readonly onStderr: (bytes: Uint8Array) => void } | "inherit" | "ignore";
  readonly stdin?: "pipe" | "ignore";
  /** Own process group / session. */
  readonly detached?: boolean;
  /** Allocates a pseudo terminal for the child (exec -t). */
  /** `controlling` false: the command itself makes it its session's (a process of another pid namespace must). */
  readonly terminal?: { readonly columns: number; readonly rows: number; readonly controlling?: false };
  readonly onExit: (status: ExitStatus) => void;
}

export interface ExitStatus {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

export interface ChildProcess {
  readonly pid: number;
  writeStdin(bytes: Uint8Array): void;
  endStdin(): void;
  resize(columns: number, rows: number): void;
  kill(signal: string): void;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly netns?: string;
  readonly stdin?: string | Uint8Array;
  readonly timeoutMs?: number;
}

export interface ProcessResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
