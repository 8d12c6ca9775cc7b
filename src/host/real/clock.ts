/** Time of the machine. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock, Timer } from "#host/clock.ts";

export function realClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (delayMs, run) => new NodeTimer(setTimeout(run, delayMs)),
    every: (intervalMs, run) => new NodeTimer(setInterval(run, intervalMs)),
    sleep: (delayMs, signal) => sleepFor(delayMs, signal),
    soon: (run) => void setImmediate(run),
  };
}

async function sleepFor(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    // Node wraps the reason in an AbortError of its own.
    signal?.throwIfAborted();
    throw error;
  }
}

class NodeTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;
  constructor(timeout: NodeJS.Timeout) {
    this.#timeout = timeout;
  }
  cancel(): void {
    clearTimeout(this.#timeout);
  }
  unref(): Timer {
    this.#timeout.unref();
    return this;
  }
}
