/** Randomness of the machine: everything fit for keys but `next`, which balances and spreads. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Random } from "#host/random.ts";

export function realRandom(): Random {
  return { next: () => Math.random(), bytes: (length) => randomBytes(length), uuid: () => randomUUID() };
}
