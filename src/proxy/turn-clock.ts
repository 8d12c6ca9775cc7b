/**
 * The time as of this turn of the event loop. A request asks for the time half a dozen times; within one turn nothing would
 * be told apart by asking the kernel each time, so it is asked once.
 */
import type { Clock } from "#host/clock.ts";

export class TurnClock {
  readonly #clock: Clock;
  #monotonic = 0;
  #known = false;
  readonly #forget = (): void => {
    this.#known = false;
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds, as Clock.monotonic, as of the first question in this turn. */
  get ms(): number {
    if (!this.#known) {
      this.#known = true;
      this.#monotonic = this.#clock.monotonic();
      this.#clock.soon(this.#forget);
    }
    return this.#monotonic;
  }
}
