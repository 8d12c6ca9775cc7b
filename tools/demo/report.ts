/** What the demo prints: a heading a part, a line a fact, with `ok` or `FAIL` before those that are judged. */
const startedAt = performance.now();

export class Report {
  failures = 0;

  heading(text: string): void {
    console.log(`\n${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)}s  ${text}`);
  }

  fact(text: string): void {
    for (const line of text.trimEnd().split("\n")) console.log(`          ${line}`);
  }

  judge(held: boolean, text: string): void {
    if (!held) this.failures += 1;
    console.log(`    ${held ? "ok  " : "FAIL"}  ${text}`);
  }

  /** Tries until it holds: policies take a moment to reach the proxies. */
  async eventually<T>(ask: () => Promise<T>, holds: (value: T) => boolean, timeoutMs = 10_000): Promise<T> {
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
