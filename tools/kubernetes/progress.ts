/** Says what a long task does, for those who wait for it. */
const startedAt = performance.now();

export function progress(text: string): void {
  process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)}s  ${text}\n`);
}
