/** Randomness of the machine: everything fit for keys but `next`, which balances and spreads. */
import { randomBytes, randomFillSync, randomUUID } from "node:crypto";
import type { Random } from "#host/random.ts";

export function realRandom(): Random {
  return { next: () => Math.random(), bytes: (length) => randomBytes(length), fill: (bytes) => void randomFillSync(bytes), uuid: () => randomUUID() };
}
