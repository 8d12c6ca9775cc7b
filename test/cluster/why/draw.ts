/** Choices that a seed decides. */
export class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(...choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.next() * choices.length)] ?? choices[0];
  }

  from<T>(choices: readonly T[]): T {
    const chosen = choices[Math.floor(this.next() * choices.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  }

  /** Between 1 and all of them, in their order. */
  some<T>(choices: readonly T[]): readonly T[] {
    const chosen = choices.filter(() => this.chance(0.4));
    return chosen.length > 0 ? chosen : [this.from(choices)];
  }

  times<T>(most: number, make: (index: number) => T): readonly T[] {
    return Array.from({ length: Math.floor(this.next() * (most + 1)) }, (_, i) => make(i));
  }
}
