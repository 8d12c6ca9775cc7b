/** What was measured, by name. */
export interface Figure {
  readonly value: number;
  readonly unit: "ms" | "s" | "us" | "MiB" | "requests/s" | "MB/s";
}

/** A measure that could not be taken says why instead. */
export type Figures = Readonly<Record<string, Figure | string>>;

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** A line a measure: theirs, ours, and what ours takes when theirs is 1. */
export function table(theirs: Figures, ours: Figures): string {
  const names = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])];
  const rows = names.map((name) => {
    const [their, our] = [theirs[name], ours[name]];
    const ratio = typeof their === "object" && typeof our === "object" ? (our.value / their.value).toFixed(2) : "";
    return [name, text(their), text(our), ratio] as const;
  });
  const header = ["", "bridge, kube-proxy", "Weft", "ratio"] as const;
  const width = (column: 0 | 1 | 2): number => Math.max(...[header, ...rows].map((row) => row[column].length));
  const line = ([name, their, our, ratio]: readonly [string, string, string, string]): string =>
    `${name.padEnd(width(0))}  ${their.padStart(width(1))}  ${our.padStart(width(2))}  ${ratio.padStart(5)}`.trimEnd();
  const reasons = [theirs, ours].flatMap((figures) =>
    Object.entries(figures).flatMap(([name, figure]) => (typeof figure === "string" ? [`not measured: ${name}: ${figure}`] : [])),
  );
  return [line(header), ...rows.map(line), ...reasons].join("\n");
}

function text(figure: Figure | string | undefined): string {
  if (figure === undefined) return "";
  if (typeof figure === "string") return "(below)";
  const { value, unit } = figure;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}
