/** Progress is what happened, with times: `  1.1s  nodes        node-1, node-2 Ready`. */
import type { Clock } from "#host/clock.ts";
import type { Terminal } from "./context.ts";

const LABEL_WIDTH = 12;

export class Progress {
  readonly #clock: Clock;
  readonly #terminal: Terminal;
  readonly #startedAt: number;

  constructor(clock: Clock, terminal: Terminal) {
    this.#clock = clock;
    this.#terminal = terminal;
    this.#startedAt = clock.monotonic();
  }

  say(label: string, text: string): void {
    const seconds = `${this.seconds().toFixed(1)}s`.padStart(6);
    this.#terminal.out(`${seconds}  ${label.padEnd(LABEL_WIDTH)} ${text}\n`);
  }

  seconds(): number {
    return (this.#clock.monotonic() - this.#startedAt) / 1000;
  }
}
