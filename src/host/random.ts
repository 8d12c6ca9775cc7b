/** Randomness as an argument; seeded in a simulation. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** `length` bytes fit for keys (real host) or reproducible (fake host). */
  bytes(length: number): Uint8Array;
  /** The same into memory that is there: new memory for thousands of bytes costs ten times as much as they do. */
  fill(bytes: Uint8Array): void;
  /** RFC 9562 version 4. */
  uuid(): string;
}
