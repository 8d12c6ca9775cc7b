/** What the parts of a simulated world need of it: time, and a place in its trace. */
import type { Clock } from "#host/clock.ts";
import type { Random } from "#host/random.ts";

export interface VirtualTime {
  readonly clock: Clock;
  readonly elapsedMs: number;
  /** Runs `run` after `delayMs` of virtual time. Returns what cancels it. */
  plan(delayMs: number, run: () => void): () => void;
  record(actor: string, event: string): void;
  random(name: string): Random;
}
