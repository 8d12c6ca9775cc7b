/**
 * The one reconcile loop. Work is a key ("namespace/name"); `reconcile` looks at the world as it is now and makes it so.
 * A key that is added again while it waits is done once; while it runs, once more afterwards. A key that fails is tried
 * again with exponential back-off and jitter, for ever, and never holds up others.
 */
import type { Clock, Timer } from "#host/clock.ts";
import type { Random } from "#host/random.ts";
import { describeError } from "./log.ts";
import type { Log } from "./log.ts";

export interface ReconcileOptions {
  readonly name: string;
  readonly host: { readonly clock: Clock; readonly random: Random };
  readonly log: Log;
  /** May ask to be called again after some time. A rejection is a failure. */
  readonly reconcile: (key: string) => Promise<void | { readonly againMs: number }>;
  /** Keys in work at once; default 1. */
  readonly concurrency?: number;
  /** Default: 50 ms doubling to 10 s. */
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number };
}

export interface ReconcileLoop {
  add(key: string): void;
  addAfter(key: string, delayMs: number): void;
  /** Resolves when nothing waits or runs; keys that back off count as waiting. */
  idle(): Promise<void>;
  /** Takes nothing new and resolves when what runs is done. */
  stop(): Promise<void>;
}

export function reconcileLoop(options: ReconcileOptions): ReconcileLoop {
  return new Loop(options);
}

class Loop implements ReconcileLoop {
  readonly #options: ReconcileOptions;
  /** In order of arrival. */
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  /** Added while running. */
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { readonly timer: Timer; readonly atMs: number }>();
  readonly #failures = new Map<string, number>();
  #idleWaiters: (() => void)[] = [];
  #stopped = false;

  constructor(options: ReconcileOptions) {
    this.#options = options;
  }

  add(key: string): void {
    if (this.#stopped) return;
    this.#forgetLater(key);
    if (this.#running.has(key)) this.#again.add(key);
    else {
      this.#waiting.add(key);
      this.#startSome();
    }
  }

  addAfter(key: string, delayMs: number): void {
    if (this.#stopped || this.#waiting.has(key)) return;
    const { clock } = this.#options.host;
    const atMs = clock.monotonic() + delayMs;
    const planned = this.#later.get(key);
    if (planned !== undefined && planned.atMs <= atMs) return;
    this.#forgetLater(key);
    const timer = clock.after(delayMs, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { timer, atMs });
  }

  #forgetLater(key: string): void {
    this.#later.get(key)?.timer.cancel();
    this.#later.delete(key);
  }

  #startSome(): void {
    const limit = this.#options.concurrency ?? 1;
    for (const key of this.#waiting) {
      if (this.#running.size >= limit) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    try {
      const result = await this.#options.reconcile(key);
      this.#failures.delete(key);
      if (result !== undefined) this.addAfter(key, result.againMs);
    } catch (error) {
      this.#backOff(key, error);
    }
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
    this.#startSome();
    this.#wakeIdle();
  }

  #backOff(key: string, error: unknown): void {
    const { log, name, host, backoff = { firstMs: 50, maxMs: 10_000 } } = this.#options;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const fullMs = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures - 1, 30));
    // Between half and all of it, so that many keys that failed together do not come back together.
    const delayMs = fullMs * (0.5 + host.random.next() / 2);
    log.warn(`${name} failed and will be tried again`, { object: key, error: describeError(error), failures, againMs: Math.round(delayMs) });
    this.addAfter(key, delayMs);
  }

  #isIdle(): boolean {
    return this.#running.size === 0 && (this.#stopped || (this.#waiting.size === 0 && this.#later.size === 0));
  }

  #wakeIdle(): void {
    if (!this.#isIdle()) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }

  idle(): Promise<void> {
    return this.#isIdle() ? Promise.resolve() : new Promise((resolve) => void this.#idleWaiters.push(resolve));
  }

  stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#later.values()) timer.cancel();
    this.#later.clear();
    this.#waiting.clear();
    this.#again.clear();
    const done = this.idle();
    this.#wakeIdle();
    return done;
  }
}
