/** What the figures say: a table, Weft's ratio to each peer, and whether the targets are met. */
import { median } from "./measure.ts";

/** One contestant in one round. */
export interface Sample {
  readonly cpuMicroseconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requestsPerSecond: number;
  readonly errors: number;
  readonly rssMiB: number;
  readonly pssMiB: number;
}

/** Rounds are interleaved: the samples of one index were taken one after the other. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

/** Weft's CPU per request as a multiple of the peer's is at most this. */
export interface Target {
  readonly peer: string;
  readonly atMost: number;
}

export function table(samples: Samples): string[] {
  const header = ["", "CPU us/request", "weft / it", "p50 ms", "p99 ms", "requests/s", "RSS MiB", "PSS MiB", "errors"];
  const rows = [...samples].map(([name, own]) => {
    const middle = (pick: (sample: Sample) => number, digits: number): string => median(own.map(pick)).toFixed(digits);
    const errors = own.reduce((sum, sample) => sum + sample.errors, 0);
    return [
      name,
      middle(({ cpuMicroseconds }) => cpuMicroseconds, 1),
      name === "weft" ? "" : ratioTo(samples, name).median.toFixed(2),
      middle(({ p50Ms }) => p50Ms, 2),
      middle(({ p99Ms }) => p99Ms, 2),
      middle(({ requestsPerSecond }) => requestsPerSecond, 0),
      middle(({ rssMiB }) => rssMiB, 0),
      middle(({ pssMiB }) => pssMiB, 0),
      String(errors),
    ];
  });
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ");
  return [line(header), ...rows.map(line)];
}

/** Of the rounds' ratios, because what disturbs a machine disturbs the samples of one round alike. */
export function ratioTo(samples: Samples, peer: string): { readonly median: number; readonly least: number; readonly most: number } {
  const own = samples.get("weft") ?? [];
  const others = samples.get(peer) ?? [];
  const ratios = own.flatMap(({ cpuMicroseconds }, round) => {
    const other = others[round];
    return other === undefined ? [] : [cpuMicroseconds / other.cpuMicroseconds];
  });
  return { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

export function verdicts(samples: Samples, targets: readonly Target[]): string[] {
  return targets.map(({ peer, atMost }) => {
    const target = `at most ${atMost} x ${peer}`;
    if (!samples.has("weft") || !samples.has(peer)) return `SKIP  ${target}: ${samples.has("weft") ? peer : "weft"} did not take part`;
    const { median: middle, least, most } = ratioTo(samples, peer);
    const spread = `rounds from ${least.toFixed(2)} to ${most.toFixed(2)}`;
    return `${middle <= atMost ? "PASS" : "MISS"}  ${target}: ${middle.toFixed(2)} (${spread})`;
  });
}
