/** Time as an argument. In a simulation it is virtual: it moves only when nothing else can happen. */
export interface Clock {
  /** Wall clock, milliseconds since 1970, as Date.now(). */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back; may have a fraction. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`. The timer keeps the process alive unless `unref` is called. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `intervalMs` until cancelled. */
  every(intervalMs: number, run: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when aborted. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` when this turn of the event loop has handled its input (setImmediate). */
  soon(run: () => void): void;
}

export interface Timer {
  cancel(): void;
  unref(): Timer;
}
