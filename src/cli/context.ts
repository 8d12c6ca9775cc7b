import type { Host } from "#host/host.ts";

/** What a command is given: the machine, and the person or script in front of it. */
export interface CliContext {
  readonly host: Host;
  readonly terminal: Terminal;
}

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Standard input is a terminal. */
  readonly inputIsTty: boolean;
  readonly color: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Arguments of the command line, after `weft`. */
  readonly args: readonly string[];
  readonly pid: number;
  readonly uid: number;
  /** Node 24's binary. */
  readonly node: string;
  /** Where Weft is installed: has src/ and node_modules/. */
  readonly sourceRoot: string;
  /** Calls `stop` for SIGINT, SIGTERM and SIGHUP until released. */
  onSignal(stop: (signal: string) => void): { release(): void };
}

/** A mistake of the user, or a refusal of the machine: one paragraph, printed once, ends the command. */
export class CliError extends Error {
  readonly status: number;
  constructor(message: string, status = 2) {
    super(message);
    this.status = status;
  }
}
