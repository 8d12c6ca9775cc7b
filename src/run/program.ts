/**
 * The life of a program: parts start in order and stop in reverse, each within its time; SIGTERM and SIGINT drain and
 * stop; a second signal, or an error that nobody caught, ends at once. What belongs to the process comes as `Process`,
 * so that a simulation runs the same programs without one.
 */
import type { Clock } from "#host/clock.ts";
import type { Log } from "./log.ts";

/** What was started and can be stopped. */
export interface Running {
  stop(): Promise<void>;
}

/** A part that hangs must not keep the rest from stopping. */
const STOP_WITHIN_MS = 5_000;

export class Parts implements Running {
  readonly #parts: { readonly name: string; readonly part: Running }[] = [];
  readonly #clock: Pick<Clock, "after">;
  readonly #log: Log;
  #stopping: Promise<void> | undefined;

  constructor(options: { readonly clock: Pick<Clock, "after">; readonly log: Log }) {
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Remembers a started part; parts stop in reverse order. */
  add<T extends Running>(name: string, part: T): T {
    this.#parts.push({ name, part });
    return part;
  }

  /** As add, for things that close. */
  closing(name: string, close: () => void | Promise<void>): void {
    this.add(name, { stop: async () => close() });
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#stopAll());
  }

  async #stopAll(): Promise<void> {
    for (;;) {
      const last = this.#parts.pop();
      if (last === undefined) return;
      try {
        await this.#within(last.part.stop(), last.name);
      } catch (error) {
        this.#log.warn(`${last.name} did not stop in order`, { error });
      }
    }
  }

  #within(work: Promise<void>, name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(STOP_WITHIN_MS, () => reject(new Error(`${name} was still stopping after ${STOP_WITHIN_MS} ms`)));
      work.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}

/** The operating system's side of a program's life; bin passes Node's `process`. */
export interface Process {
  on(event: "SIGTERM" | "SIGINT" | "uncaughtException" | "unhandledRejection", listener: (cause: unknown) => void): unknown;
  exit(code: number): void;
}

/** Starts a program and ties it to its process. Never rejects: what fails is logged, and the process ends with 1. */
export async function runProgram(process: Process, log: Log, start: () => Promise<Running>): Promise<void> {
  let running: Running | undefined;
  let stopping = false;
  const stop = (signal: unknown): void => {
    if (stopping || running === undefined) return process.exit(1);
    stopping = true;
    log.info("stopping", { signal });
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error("could not stop in order", { error });
        process.exit(1);
      },
    );
  };
  const crash = (error: unknown): void => {
    log.error("a bug ended the program", { error, stack: error instanceof Error ? error.stack : undefined });
    process.exit(70);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  try {
    running = await start();
  } catch (error) {
    log.error("could not start", { error });
    process.exit(1);
  }
}
