/**
 * What the fake hosts of one simulation share: virtual time, a seed, the networks, and the trace.
 *
 * Time moves only when nothing else can happen: `drive` lets all promises settle, runs the next event, and so on. Events
 * of the same moment run in the order in which they were planned, so one seed is one history; `traceHash` proves it.
 */
import { createHash } from "node:crypto";
import type { Clock, Timer } from "#host/clock.ts";
import { FakeHttpNetwork } from "./http.ts";
import { FakeKernel } from "./kernel.ts";
import { FakeNetwork } from "./network.ts";
import { RealWork } from "./real-work.ts";
import { FakeRpcNetwork } from "./rpc.ts";
import { seededRandom } from "./random.ts";
import type { Random } from "#host/random.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface WorldOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Wall clock at the start; default 2026-01-01. */
  readonly startMs?: number;
}

interface PlannedEvent {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export interface TraceEntry {
  readonly atMs: number;
  readonly actor: string;
  readonly event: string;
}

/** A wait that takes longer than this much virtual time is a hang. */
const HANG_MS = 3_600_000;
/** Turns of the real event loop that a promise may need while nothing is planned. */
const REAL_TURNS = 2_000;

export class FakeWorld implements VirtualTime {
  readonly seed: number;
  readonly startMs: number;
  readonly network: FakeNetwork;
  readonly http = new FakeHttpNetwork();
  readonly rpc = new FakeRpcNetwork();
  readonly kernel = new FakeKernel();
  readonly trace: TraceEntry[] = [];
  readonly clock: Clock;
  readonly #realWork = new RealWork();
  #elapsedMs = 0;
  #planned = 0;
  /** Binary heap, earliest first. */
  readonly #heap: PlannedEvent[] = [];

  constructor(options: WorldOptions = {}) {
    this.seed = options.seed ?? 1;
    this.startMs = options.startMs ?? Date.UTC(2026, 0, 1);
    this.clock = new VirtualClock(this);
    this.network = new FakeNetwork(this);
  }

  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** A stream of random numbers of its own for each name, so that one program's draws do not move another's. */
  random(name: string): Random {
    return seededRandom(`${this.seed}/${name}`);
  }

  /** Runs `run` after `delayMs` of virtual time. Returns what cancels it. */
  plan(delayMs: number, run: () => void): () => void {
    this.#planned += 1;
    const event: PlannedEvent = { atMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#planned, run };
    push(this.#heap, event);
    return () => {
      event.run = undefined;
    };
  }

  record(actor: string, event: string): void {
    this.trace.push({ atMs: this.#elapsedMs, actor, event });
  }

  traceText(): string {
    return this.trace.map(({ atMs, actor, event }) => `${atMs.toFixed(3)} ${actor} ${event}\n`).join("");
  }

  traceHash(): string {
    return createHash("sha256").update(this.traceText()).digest("hex");
  }

  /** Lets the world run until the work is done. Rejects when nothing can happen any more, or nothing ever ends. */
  async drive<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = (): void => {
      isDone = true;
    };
    work.then(done, done);
    const started = this.#elapsedMs;
    this.#realWork.watch();
    try {
      let waited = 0;
      for (;;) {
        await turn();
        if (isDone) return await work;
        if (this.#realWork.isBusy) continue;
        waited = this.#step() ? 0 : waited + 1;
        if (waited > REAL_TURNS) throw new Error(`seed ${this.seed}: at ${this.#elapsedMs} ms nothing more can happen, and what was waited for has not`);
        if (this.#elapsedMs - started > HANG_MS) throw new Error(`seed ${this.seed}: waited ${HANG_MS} ms of virtual time`);
      }
    } finally {
      this.#realWork.unwatch();
    }
  }

  /** Lets `durationMs` pass. */
  async pass(durationMs: number): Promise<void> {
    await this.drive(this.clock.sleep(durationMs));
  }

  #step(): boolean {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return false;
      if (event.run === undefined) continue;
      this.#elapsedMs = Math.max(this.#elapsedMs, event.atMs);
      const { run } = event;
      event.run = undefined;
      run();
      return true;
    }
  }
}

/** One turn of the real event loop: every promise that can settle does. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

class VirtualClock implements Clock {
  readonly #world: FakeWorld;
  constructor(world: FakeWorld) {
    this.#world = world;
  }
  now(): number {
    return Math.floor(this.#world.startMs + this.#world.elapsedMs);
  }
  monotonic(): number {
    return this.#world.elapsedMs;
  }
  after(delayMs: number, run: () => void): Timer {
    return timer(this.#world.plan(delayMs, run));
  }
  every(intervalMs: number, run: () => void): Timer {
    // Node's intervals are of 1 ms at least; here none would mean that time stands still.
    const interval = Math.max(1, intervalMs);
    let cancel: () => void;
    const tick = (): void => {
      cancel = this.#world.plan(interval, tick);
      run();
    };
    cancel = this.#world.plan(interval, tick);
    return timer(() => cancel());
  }
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const aborted = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      const cancel = this.#world.plan(delayMs, () => {
        signal?.removeEventListener("abort", aborted);
        resolve();
      });
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }
  soon(run: () => void): void {
    this.#world.plan(0, run);
  }
}

function timer(cancel: () => void): Timer {
  const made: Timer = { cancel, unref: () => made };
  return made;
}

function isEarlier(a: PlannedEvent, b: PlannedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: PlannedEvent[], event: PlannedEvent): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || !isEarlier(event, parent)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = event;
}

function pop(heap: PlannedEvent[]): PlannedEvent | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || first === last) return first;
  let at = 0;
  for (;;) {
    const left = heap[2 * at + 1];
    const right = heap[2 * at + 2];
    const isRight = left !== undefined && right !== undefined && isEarlier(right, left);
    const least = isRight ? right : left;
    if (least === undefined || !isEarlier(least, last)) break;
    heap[at] = least;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = last;
  return first;
}
