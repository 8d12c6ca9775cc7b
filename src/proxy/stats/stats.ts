/**
 * Counters, gauges and histograms under Envoy's names. A scope (a cluster, a listener, a connection manager) makes each of
 * its stats once; the request path only adds to a number. Names are rendered when somebody asks.
 */
export interface Labels {
  readonly [label: string]: string;
}

export class Counter {
  value = 0;
  readonly flatName: string;
  readonly family: string;
  readonly labels: Labels;
  readonly kind: "counter" | "gauge";
  constructor(flatName: string, family: string, labels: Labels, kind: "counter" | "gauge") {
    this.flatName = flatName;
    this.family = family;
    this.labels = labels;
    this.kind = kind;
  }
}

/** Envoy's default buckets, milliseconds. */
const BUCKETS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000];

export class Histogram {
  readonly flatName: string;
  readonly family: string;
  readonly labels: Labels;
  readonly counts = new Float64Array(BUCKETS.length + 1);
  sum = 0;
  count = 0;
  constructor(flatName: string, family: string, labels: Labels) {
    this.flatName = flatName;
    this.family = family;
    this.labels = labels;
  }
  record(value: number): void {
    let i = 0;
    while (i < BUCKETS.length && value > (BUCKETS[i] ?? 0)) i++;
    this.counts[i] = (this.counts[i] ?? 0) + 1;
    this.sum += value;
    this.count++;
  }
}

type Stat = Counter | Histogram;

/** Characters that Prometheus does not allow in a name. */
const clean = (name: string): string => name.replace(/[^a-zA-Z0-9_]/g, "_");

export class Scope {
  readonly #stats: Stats;
  readonly #flat: string;
  readonly #family: string;
  readonly #labels: Labels;
  constructor(stats: Stats, flat: string, family: string, labels: Labels) {
    this.#stats = stats;
    this.#flat = flat;
    this.#family = family;
    this.#labels = labels;
  }
  counter(name: string): Counter {
    return this.#make(name, "counter");
  }
  gauge(name: string): Counter {
    return this.#make(name, "gauge");
  }
  histogram(name: string): Histogram {
    const flat = `${this.#flat}${name}`;
    return this.#stats.histogram(flat, () => new Histogram(flat, this.#family + clean(name), this.#labels));
  }
  /** `upstream_rq_2xx` has the class as a label in Prometheus, as in Envoy: family `upstream_rq_xx`. */
  codeClass(prefix: string, codeClass: number): Counter {
    const flat = `${this.#flat}${prefix}_${codeClass}xx`;
    const labels = { envoy_response_code_class: String(codeClass), ...this.#labels };
    return this.#stats.counter(flat, () => new Counter(flat, `${this.#family}${clean(prefix)}_xx`, labels, "counter"));
  }
  code(prefix: string, code: number): Counter {
    const flat = `${this.#flat}${prefix}_${code}`;
    const labels = { envoy_response_code: String(code), ...this.#labels };
    return this.#stats.counter(flat, () => new Counter(flat, `${this.#family}${clean(prefix)}`, labels, "counter"));
  }
  /** `ssl.versions.TLSv1.3` has the version as a label in Prometheus. */
  tlsVersion(version: string): Counter {
    const flat = `${this.#flat}ssl.versions.${version}`;
    const labels = { envoy_ssl_version: version, ...this.#labels };
    return this.#stats.counter(flat, () => new Counter(flat, `${this.#family}ssl_versions`, labels, "counter"));
  }
  #make(name: string, kind: "counter" | "gauge"): Counter {
    const flat = `${this.#flat}${name}`;
    return this.#stats.counter(flat, () => new Counter(flat, this.#family + clean(name), this.#labels, kind));
  }
}

/** Which stats somebody asks for. */
export interface StatsQuery {
  readonly matches: (name: string) => boolean;
  readonly usedOnly: boolean;
}

export class Stats {
  readonly #all = new Map<string, Stat>();

  counter(flat: string, make: () => Counter): Counter {
    const known = this.#all.get(flat);
    if (known instanceof Counter) return known;
    const made = make();
    this.#all.set(flat, made);
    return made;
  }

  histogram(flat: string, make: () => Histogram): Histogram {
    const known = this.#all.get(flat);
    if (known instanceof Histogram) return known;
    const made = make();
    this.#all.set(flat, made);
    return made;
  }

  /** A stat outside Envoy's naming (Istio's metrics): `family` with labels. */
  labelled(family: string, labels: Labels): Counter {
    const flat = `${family}${renderLabels(labels)}`;
    return this.counter(flat, () => new Counter(flat, family, labels, "counter"));
  }

  labelledHistogram(family: string, labels: Labels): Histogram {
    const flat = `${family}${renderLabels(labels)}`;
    return this.histogram(flat, () => new Histogram(flat, family, labels));
  }

  cluster(name: string): Scope {
    return new Scope(this, `cluster.${name}.`, "envoy_cluster_", { envoy_cluster_name: name });
  }
  connectionManager(prefix: string): Scope {
    return new Scope(this, `http.${prefix}.`, "envoy_http_", { envoy_http_conn_manager_prefix: prefix });
  }
  tcp(prefix: string): Scope {
    return new Scope(this, `tcp.${prefix}.`, "envoy_tcp_", { envoy_tcp_prefix: prefix });
  }
  listener(address: string): Scope {
    return new Scope(this, `listener.${address}.`, "envoy_listener_", { envoy_listener_address: address });
  }
  /** What a listener keeps of each of its connection managers. */
  listenerHttp(address: string, prefix: string): Scope {
    const labels = { envoy_http_conn_manager_prefix: prefix, envoy_listener_address: address };
    return new Scope(this, `listener.${address}.http.${prefix}.`, "envoy_listener_http_", labels);
  }
  /** Network RBAC has its prefix as a label in Prometheus. */
  networkRbac(prefix: string): Scope {
    return prefix === "" ? new Scope(this, "", "envoy_", {}) : new Scope(this, `${prefix}.`, "envoy_", { envoy_rbac_prefix: prefix });
  }
  /** `server.`, `listener_manager.`, `cluster_manager.` and the like. */
  plain(prefix: string): Scope {
    return new Scope(this, `${prefix}.`, `envoy_${clean(prefix)}_`, {});
  }

  forget(flatPrefix: string): void {
    for (const name of this.#all.keys()) if (name.startsWith(flatPrefix)) this.#all.delete(name);
  }

  #wanted({ matches, usedOnly }: StatsQuery): Stat[] {
    return [...this.#all.values()].filter((stat) => (!usedOnly || (stat instanceof Counter ? stat.value : stat.count) !== 0) && matches(stat.flatName));
  }

  /** Envoy's /stats: `name: value`, sorted. */
  text(query: StatsQuery): string {
    const lines = this.#wanted(query).map((stat) =>
      stat instanceof Counter
        ? `${stat.flatName}: ${stat.value}`
        : `${stat.flatName}: ${stat.count === 0 ? "No recorded values" : `count ${stat.count}, sum ${stat.sum}`}`,
    );
    return lines.sort(byText).join("\n") + "\n";
  }

  json(query: StatsQuery): string {
    const stats = this.#wanted(query).flatMap((stat) => (stat instanceof Counter ? [{ name: stat.flatName, value: stat.value }] : []));
    return JSON.stringify({ stats: stats.sort((a, b) => byText(a.name, b.name)) });
  }

  prometheus(query: StatsQuery): string {
    const families = Map.groupBy(this.#wanted(query), ({ family }) => family);
    const out: string[] = [];
    for (const [family, members] of [...families].sort(([a], [b]) => byText(a, b))) {
      const [first] = members;
      out.push(`# TYPE ${family} ${first instanceof Histogram ? "histogram" : (first?.kind ?? "counter")}`);
      for (const stat of members) renderStat(stat, out);
    }
    return out.join("\n") + "\n";
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function renderStat(stat: Stat, out: string[]): void {
  if (stat instanceof Counter) {
    out.push(`${stat.family}${renderLabels(stat.labels)} ${stat.value}`);
    return;
  }
  let total = 0;
  for (const [i, bound] of BUCKETS.entries()) {
    total += stat.counts[i] ?? 0;
    out.push(`${stat.family}_bucket${renderLabels({ ...stat.labels, le: String(bound) })} ${total}`);
  }
  out.push(`${stat.family}_bucket${renderLabels({ ...stat.labels, le: "+Inf" })} ${stat.count}`);
  out.push(`${stat.family}_sum${renderLabels(stat.labels)} ${stat.sum}`, `${stat.family}_count${renderLabels(stat.labels)} ${stat.count}`);
}

function renderLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
