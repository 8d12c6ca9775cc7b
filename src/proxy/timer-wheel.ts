/**
 * Deadlines by the thousand on one host timer. A wheel of slots, one per tick: setting and cancelling a deadline moves an
 * entry between doubly linked lists and allocates nothing. Deadlines fire up to one tick late, never early.
 */
import type { Clock, Timer } from "#host/clock.ts";
import type { TurnClock } from "./turn-clock.ts";

/** Fine enough for timeouts of requests, coarse enough to cost nothing. */
const TICK_MS = 20;
const SLOTS = 512;

export class WheelEntry {
  readonly run: () => void;
  /** Tick at which it fires; 0 when it is not set. */
  due = 0;
  next: WheelEntry | undefined;
  previous: WheelEntry | undefined;
  constructor(run: () => void) {
    this.run = run;
  }
}

export class TimerWheel {
  readonly #clock: Clock;
  readonly #turnClock: TurnClock;
  readonly #slots: WheelEntry[] = Array.from({ length: SLOTS }, () => {
    const sentinel = new WheelEntry(() => undefined);
    sentinel.next = sentinel.previous = sentinel;
    return sentinel;
  });
  #tick: number;
  #count = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, turnClock: TurnClock) {
    this.#clock = clock;
    this.#turnClock = turnClock;
    this.#tick = this.#now();
  }

  #now(): number {
    return Math.floor(this.#turnClock.ms / TICK_MS) + 1;
  }

  /** (Re)sets the entry to fire after `delayMs`. */
  set(entry: WheelEntry, delayMs: number): void {
    if (entry.due !== 0) this.cancel(entry);
    if (this.#count === 0) this.#tick = this.#now();
    entry.due = Math.max(this.#now() + Math.ceil(delayMs / TICK_MS), this.#tick + 1);
    const slot = this.#slots[entry.due % SLOTS];
    if (slot === undefined) return;
    entry.previous = slot.previous;
    entry.next = slot;
    if (slot.previous !== undefined) slot.previous.next = entry;
    slot.previous = entry;
    this.#count++;
    this.#timer ??= this.#clock.after(TICK_MS, () => this.#turn()).unref();
  }

  cancel(entry: WheelEntry): void {
    if (entry.due === 0) return;
    entry.due = 0;
    if (entry.previous !== undefined) entry.previous.next = entry.next;
    if (entry.next !== undefined) entry.next.previous = entry.previous;
    entry.next = entry.previous = undefined;
    this.#count--;
  }

  #turn(): void {
    this.#timer = undefined;
    const now = this.#now();
    // After a long stop every slot is looked at once; more would see the same entries again.
    if (now - this.#tick > SLOTS) this.#tick = now - SLOTS;
    while (this.#tick < now) {
      this.#tick++;
      const slot = this.#slots[this.#tick % SLOTS];
      let entry = slot?.next;
      while (entry !== undefined && entry !== slot) {
        const next: WheelEntry | undefined = entry.next;
        if (entry.due <= now) {
          this.cancel(entry);
          entry.run();
          // What ran may have changed the list: begin again at its head.
          entry = slot?.next;
        } else entry = next;
      }
    }
    if (this.#count > 0) this.#timer ??= this.#clock.after(TICK_MS, () => this.#turn()).unref();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
