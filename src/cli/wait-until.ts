/** Waiting that says what it waits for: the first time soon, then when that is something else, and seldom when it is not. */
import type { Clock } from "#host/clock.ts";
import type { Progress } from "./progress.ts";

const POLL_MS = 100;
/** How often a line says what is still missing: sooner when that is something else than before. */
const TELL_EVERY_MS = 5000;
const REPEAT_EVERY_MS = 30_000;

export interface Waiting {
  readonly label: string;
  readonly timeoutMs: number;
  readonly pollMs?: number;
  readonly signal: AbortSignal;
  /** Nothing more will happen by itself: gives up before the time is up. */
  readonly isHopeless?: () => boolean;
  /** What else to say about it, when it is said. */
  readonly detail?: () => Promise<string>;
}

/** `check` returns undefined when it is done, else what is missing. Resolves with what was still missing when the time was up. */
export async function waitUntil(clock: Clock, progress: Progress, waiting: Waiting, check: () => Promise<string | undefined>): Promise<string | undefined> {
  const startedAt = clock.monotonic();
  let toldAt = startedAt;
  let told = "";
  for (;;) {
    waiting.signal.throwIfAborted();
    const missing = await check().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    const now = clock.monotonic();
    if (missing === undefined) return undefined;
    const isOver = now - startedAt > waiting.timeoutMs || waiting.isHopeless?.() === true;
    if (isOver || now - toldAt > (missing === told ? REPEAT_EVERY_MS : TELL_EVERY_MS)) {
      const full = `${missing}${(await waiting.detail?.()) ?? ""}`;
      if (isOver) return full;
      progress.say(waiting.label, full);
      told = missing;
      toldAt = now;
    }
    await clock.sleep(waiting.pollMs ?? POLL_MS, waiting.signal);
  }
}
