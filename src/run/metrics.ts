/**
 * Counters, gauges and histograms, printed as Prometheus text (exposition format 0.0.4). Values live in typed arrays:
 * what a hot path holds is an object with an index, and counting is one addition.
 */
export interface Counter {
  add(amount?: number): void;
  readonly value: number;
}

export interface Gauge {
  set(value: number): void;
  add(amount: number): void;
  readonly value: number;
}

export interface Histogram {
  observe(value: number): void;
  readonly count: number;
  readonly sum: number;
}

/** One name with its label names; `with` finds or makes the series of one set of label values. */
export interface Family<T> {
  with(...labelValues: readonly string[]): T;
  /** Forgets a series, so that what is gone is not reported for ever. */
  remove(...labelValues: readonly string[]): void;
}

export interface FamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** Prometheus' customary bounds for seconds. */
export const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export class Metrics {
  readonly #families = new Map<string, SeriesFamily<unknown>>();

  counter(options: FamilyOptions): Family<Counter> {
    return this.#add(new SeriesFamily("counter", options, 1, (store, at) => new Value(store, at)));
  }

  gauge(options: FamilyOptions): Family<Gauge> {
    return this.#add(new SeriesFamily("gauge", options, 1, (store, at) => new Value(store, at)));
  }

  /** `buckets` are upper bounds, rising; +Inf is added. */
  histogram(options: FamilyOptions & { readonly buckets: readonly number[] }): Family<Histogram> {
    const bounds = Float64Array.from(options.buckets);
    const family = new SeriesFamily("histogram", options, bounds.length + 2, (store, at) => new Buckets(store, at, bounds));
    return this.#add(family);
  }

  #add<T>(family: SeriesFamily<T>): Family<T> {
    if (this.#families.has(family.name)) throw new Error(`metric ${family.name} is registered twice`);
    this.#families.set(family.name, family as SeriesFamily<unknown>);
    return family;
  }

  text(): string {
    const names = [...this.#families.keys()].sort();
    return names.map((name) => this.#families.get(name)?.text() ?? "").join("");
  }
}

/** Slots of all series of a family, in one array that grows. */
class Store {
  values = new Float64Array(16);
  #used = 0;
  readonly #free: number[] = [];

  take(width: number): number {
    const reused = this.#free.pop();
    if (reused !== undefined) return reused;
    const at = this.#used;
    this.#used += width;
    if (this.#used > this.values.length) {
      const larger = new Float64Array(Math.max(this.#used, this.values.length * 2));
      larger.set(this.values);
      this.values = larger;
    }
    return at;
  }

  give(at: number, width: number): void {
    this.values.fill(0, at, at + width);
    this.#free.push(at);
  }
}

interface Series<T> {
  readonly at: number;
  readonly labels: string;
  readonly handle: T;
}

class SeriesFamily<T> implements Family<T> {
  readonly name: string;
  readonly #type: "counter" | "gauge" | "histogram";
  readonly #help: string;
  readonly #labelNames: readonly string[];
  readonly #width: number;
  readonly #make: (store: Store, at: number) => T;
  readonly #store = new Store();
  readonly #series = new Map<string, Series<T>>();

  constructor(type: "counter" | "gauge" | "histogram", options: FamilyOptions, width: number, make: (store: Store, at: number) => T) {
    this.name = options.name;
    this.#type = type;
    this.#help = options.help;
    this.#labelNames = options.labels ?? [];
    this.#width = width;
    this.#make = make;
  }

  with(...labelValues: readonly string[]): T {
    const key = labelValues.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known.handle;
    if (labelValues.length !== this.#labelNames.length) {
      throw new Error(`metric ${this.name} has labels ${this.#labelNames.join(", ")}: got ${labelValues.length} values`);
    }
    const at = this.#store.take(this.#width);
    const labels = this.#labelNames.map((name, i) => `${name}="${escapeLabel(labelValues[i] ?? "")}"`).join(",");
    const series = { at, labels, handle: this.#make(this.#store, at) };
    this.#series.set(key, series);
    return series.handle;
  }

  remove(...labelValues: readonly string[]): void {
    const key = labelValues.join("\u0000");
    const series = this.#series.get(key);
    if (series === undefined) return;
    this.#series.delete(key);
    this.#store.give(series.at, this.#width);
  }

  text(): string {
    const lines = [`# HELP ${this.name} ${this.#help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${this.name} ${this.#type}`];
    for (const { handle, labels } of this.#series.values()) {
      if (handle instanceof Buckets) handle.print(lines, this.name, labels);
      else if (handle instanceof Value) lines.push(`${this.name}${braces(labels)} ${number(handle.value)}`);
    }
    return `${lines.join("\n")}\n`;
  }
}

class Value implements Counter, Gauge {
  readonly #store: Store;
  readonly #at: number;
  constructor(store: Store, at: number) {
    this.#store = store;
    this.#at = at;
  }
  add(amount = 1): void {
    this.#store.values[this.#at] = (this.#store.values[this.#at] ?? 0) + amount;
  }
  set(value: number): void {
    this.#store.values[this.#at] = value;
  }
  get value(): number {
    return this.#store.values[this.#at] ?? 0;
  }
}

/** Slots: one count a bound, one for +Inf, and the sum. */
class Buckets implements Histogram {
  readonly #store: Store;
  readonly #at: number;
  readonly #bounds: Float64Array;
  constructor(store: Store, at: number, bounds: Float64Array) {
    this.#store = store;
    this.#at = at;
    this.#bounds = bounds;
  }
  observe(value: number): void {
    const { values } = this.#store;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket += 1;
    values[this.#at + bucket] = (values[this.#at + bucket] ?? 0) + 1;
    const sumAt = this.#at + bounds.length + 1;
    values[sumAt] = (values[sumAt] ?? 0) + value;
  }
  get count(): number {
    let count = 0;
    for (let i = 0; i <= this.#bounds.length; i += 1) count += this.#store.values[this.#at + i] ?? 0;
    return count;
  }
  get sum(): number {
    return this.#store.values[this.#at + this.#bounds.length + 1] ?? 0;
  }
  print(lines: string[], name: string, labels: string): void {
    const prefix = labels === "" ? "" : `${labels},`;
    let count = 0;
    for (let i = 0; i <= this.#bounds.length; i += 1) {
      count += this.#store.values[this.#at + i] ?? 0;
      const bound = this.#bounds[i];
      lines.push(`${name}_bucket{${prefix}le="${bound === undefined ? "+Inf" : number(bound)}"} ${count}`);
    }
    lines.push(`${name}_sum${braces(labels)} ${number(this.sum)}`, `${name}_count${braces(labels)} ${count}`);
  }
}

function braces(labels: string): string {
  return labels === "" ? "" : `{${labels}}`;
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
