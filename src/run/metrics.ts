/** A program's own counters and gauges, printed as Prometheus text (exposition format 0.0.4). What a proxy counts of its traffic is in proxy/stats. */
export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** A number with one set of label values. */
export class Value {
  #value = 0;

  add(amount = 1): void {
    this.#value += amount;
  }

  /** Gauges only: a counter never goes back. */
  set(value: number): void {
    this.#value = value;
  }

  get value(): number {
    return this.#value;
  }
}

export type Counter = Omit<Value, "set">;

/** One name with its label names; `with` finds or makes the series of one set of label values. */
export class Family<T> {
  readonly #type: "counter" | "gauge";
  readonly #options: MetricOptions;
  readonly #series = new Map<string, Value>();

  constructor(type: "counter" | "gauge", options: MetricOptions) {
    this.#type = type;
    this.#options = options;
  }

  with(...labelValues: readonly string[]): T {
    const { name, labels = [] } = this.#options;
    if (labelValues.length !== labels.length) throw new Error(`metric ${name} has labels ${labels.join(", ")}: got ${labelValues.length} values`);
    const key = labels.map((label, i) => `${label}="${escapeLabel(labelValues[i] ?? "")}"`).join(",");
    const series = this.#series.get(key) ?? new Value();
    this.#series.set(key, series);
    return series as T;
  }

  text(): string {
    const { name, help } = this.#options;
    const lines = [`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${name} ${this.#type}`];
    for (const [labels, { value }] of this.#series) lines.push(`${name}${labels === "" ? "" : `{${labels}}`} ${value}`);
    return `${lines.join("\n")}\n`;
  }
}

export class Metrics {
  readonly #families = new Map<string, Family<unknown>>();

  counter(options: MetricOptions): Family<Counter> {
    return this.#add(options.name, new Family<Counter>("counter", options));
  }

  gauge(options: MetricOptions): Family<Value> {
    return this.#add(options.name, new Family<Value>("gauge", options));
  }

  #add<T>(name: string, family: Family<T>): Family<T> {
    if (this.#families.has(name)) throw new Error(`metric ${name} is registered twice`);
    this.#families.set(name, family);
    return family;
  }

  text(): string {
    const names = [...this.#families.keys()].sort();
    return names.map((name) => this.#families.get(name)?.text() ?? "").join("");
  }
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
