/**
 * Compile, apply, again when something changed meanwhile: changes coalesce only while an apply is in flight. Who needs
 * something applied asks `applied()`, which resolves when a plan that was compiled after the call has been applied.
 */
import type { Clock, Timer } from "#host/clock.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import type { Log } from "#run/log.ts";

export interface PlanLoopOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly compile: () => NodePlan;
  readonly apply: (plan: NodePlan) => Promise<void>;
  /** After each plan that was applied. */
  readonly applied: (plan: NodePlan) => void;
}

interface Waiter {
  readonly resolve: (plan: NodePlan) => void;
  readonly reject: (error: unknown) => void;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;

export class PlanLoop {
  readonly #options: PlanLoopOptions;
  #waiters: Waiter[] = [];
  #isDirty = false;
  #isRunning = false;
  #stopped = false;
  #retryMs = FIRST_RETRY_MS;
  #retry: Timer | undefined;
  #plan: NodePlan | undefined;

  constructor(options: PlanLoopOptions) {
    this.#options = options;
  }

  /** The last one that was applied. */
  get plan(): NodePlan | undefined {
    return this.#plan;
  }

  changed(): void {
    this.#isDirty = true;
    if (!this.#isRunning && !this.#stopped) void this.#run();
  }

  applied(): Promise<NodePlan> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.changed();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    for (const { reject } of this.#waiters.splice(0)) reject(new Error("the agent is stopping"));
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#retry?.cancel();
    while (this.#isDirty && !this.#stopped) {
      this.#isDirty = false;
      const waiters = this.#waiters.splice(0);
      try {
        const plan = this.#options.compile();
        if (plan !== this.#plan || waiters.length > 0) await this.#options.apply(plan);
        this.#plan = plan;
        this.#retryMs = FIRST_RETRY_MS;
        this.#options.applied(plan);
        for (const { resolve } of waiters) resolve(plan);
      } catch (error) {
        this.#options.log.error("could not apply the node's plan; it is tried again", { error });
        for (const { reject } of waiters) reject(error);
        this.#retry = this.#options.clock.after(this.#retryMs, () => this.changed());
        this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
      }
    }
    this.#isRunning = false;
  }
}
