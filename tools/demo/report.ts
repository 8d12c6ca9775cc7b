/** What the demo prints: a heading a part, a line a fact, with `ok` or `FAIL` before those that are judged. */
const startedAt = performance.now();

export class Report {
  readonly #failed: string[] = [];
  /** Every scene was shown. */
  isComplete = false;
  #isSilent = false;

  /** Complete, and nothing failed. */
  get held(): boolean {
    return this.isComplete && this.#failed.length === 0;
  }

  get hasFailed(): boolean {
    return this.#failed.length > 0;
  }

  summary(): string {
    if (this.held) return "all of it held";
    return this.hasFailed ? `${this.#failed.length} of it did not hold: ${this.#failed.join("; ")}` : "the cluster did not come up";
  }

  /** From now on what fails does so because the cluster is ending. */
  silence(): void {
    this.#isSilent = true;
  }

  #say(text: string): void {
    if (!this.#isSilent) console.log(text);
  }

  heading(text: string): void {
    this.#say(`\n${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)}s  ${text}`);
  }

  fact(text: string): void {
    for (const line of text.trimEnd().split("\n")) this.#say(`          ${line}`);
  }

  judge(held: boolean, text: string): void {
    if (!held && !this.#isSilent) this.#failed.push(text);
    this.#say(`    ${held ? "ok  " : "FAIL"}  ${text}`);
  }

  /** Tries until it holds: policies take a moment to reach the proxies. */
  async eventually<T>(ask: () => Promise<T>, holds: (value: T) => boolean, timeoutMs = 30_000): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const value = await ask();
      if (holds(value) || performance.now() > deadline) return value;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

export function secondsSinceStart(): number {
  return (performance.now() - startedAt) / 1000;
}
