/** Randomness as an argument; seeded in a simulation. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** `length` bytes fit for keys (real host) or reproducible (fake host). */
  bytes(length: number): Uint8Array;
  /** RFC 9562 version 4. */
  uuid(): string;
}
