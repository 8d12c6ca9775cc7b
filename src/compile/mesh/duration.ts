/** Durations as Istio ("1.5s", "100ms") and Gateway API ("1h30m") write them, in milliseconds; undefined: not one. */
const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 0.001, ns: 0.000001 };

export function parseDurationMs(text: string): number | undefined {
  if (!/^([0-9]+(\.[0-9]+)?(h|ms|m|s|us|ns))+$/.test(text)) return text === "0" ? 0 : undefined;
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g)) total += Number(digits) * (unitMs[unit ?? ""] ?? 0);
  return total;
}
