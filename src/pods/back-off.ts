/** How long a container that ended waits before it is started again: kubelet's rule. Pure. */

// kubelet: the first restart at once, then 10 s doubling to 5 min, forgotten after a run of 10 min.
const firstMs = 10_000;
const longestMs = 300_000;
const forgetAfterMs = 600_000;

export interface BackOff {
  /** Restarts in a row that came too soon. */
  readonly restarts: number;
}

export const noBackOff: BackOff = { restarts: 0 };

export function nextBackOff(before: BackOff, ranForMs: number): { readonly delayMs: number; readonly after: BackOff } {
  const restarts = ranForMs >= forgetAfterMs ? 0 : before.restarts;
  const delayMs = restarts === 0 ? 0 : Math.min(firstMs * 2 ** (restarts - 1), longestMs);
  return { delayMs, after: { restarts: restarts + 1 } };
}

/** "10s", "2m40s", "5m0s": as kubelet writes it. */
export function formatDelay(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
