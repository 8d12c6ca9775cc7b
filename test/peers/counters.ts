/** Counters of two proxies, compared: in /stats by name, in /stats/prometheus by name and labels. */
import type { Side, Sides } from "./sides.ts";

/** A stat that is knowingly not equal, and why. */
export interface Difference {
  readonly stat: RegExp;
  readonly why: string;
}

/** What is knowingly not alike, whatever the traffic. */
export const KNOWN_DIFFERENCES: readonly Difference[] = [
  { stat: /[._]total_match_count/, why: "how many endpoints took a transport socket is not counted" },
  { stat: /connections_accepted_per_socket_event/, why: "Node accepts one connection at a time" },
  { stat: /worker_/, why: "a proxy of Weft's has one worker, so nothing is kept per worker" },
  { stat: /_[rt]x_bytes_buffered/, why: "nothing is buffered between two turns of the event loop" },
  { stat: /downstream_cx_delayed_close_timeout/, why: "a race: Weft half-closes, so that the client mostly closes before the deadline" },
];

export type Stats = ReadonlyMap<string, number>;

/** Counters and gauges of /stats; histograms are not numbers there. */
export async function statsOf(side: Side): Promise<Stats> {
  const lines = (await side.admin("/stats")).split("\n");
  return new Map(
    lines.flatMap((line) => (/^[^ ].*: \d+$/.test(line) ? [[line.slice(0, line.lastIndexOf(": ")), Number(line.slice(line.lastIndexOf(": ") + 2))]] : [])),
  );
}

/** Samples of /stats/prometheus; labels in the order of their names, whatever order they came in. */
export async function prometheusOf(side: Side): Promise<Stats> {
  const lines = (await side.admin("/stats/prometheus")).split("\n");
  return new Map(
    lines.flatMap((line): [string, number][] => {
      const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (found === null) return [];
      const labels = [...(found[2] ?? "").matchAll(/\w+="(?:[^"\\]|\\.)*"/g)].map(([label]) => label).sort((a, b) => (a < b ? -1 : 1));
      return [[`${found[1]}{${labels.join(",")}}`, Number(found[3])]];
    }),
  );
}

export interface Comparison {
  /** "name: weft 1, envoy 2" of stats that both have. */
  readonly unequal: readonly string[];
  /** Stats of Weft's that Envoy has not. */
  readonly onlyWeft: readonly string[];
  /** Stats that moved in Envoy and that Weft has not. */
  readonly onlyEnvoy: readonly string[];
  readonly common: number;
}

/** Compares what `family` takes, without the differences that are known. */
export function compareStats(weft: Stats, envoy: Stats, family: RegExp, known: readonly Difference[]): Comparison {
  const wanted = (name: string): boolean => family.test(name) && !known.some(({ stat }) => stat.test(name));
  const names = [...weft.keys()].filter(wanted);
  const common = names.filter((name) => envoy.has(name));
  return {
    common: common.length,
    unequal: common.filter((name) => weft.get(name) !== envoy.get(name)).map((name) => `${name}: weft ${weft.get(name)}, envoy ${envoy.get(name)}`),
    onlyWeft: names.filter((name) => !envoy.has(name)).map((name) => `${name}: weft ${weft.get(name)}`),
    onlyEnvoy: [...envoy].filter(([name, value]) => value !== 0 && wanted(name) && !weft.has(name)).map(([name, value]) => `${name}: envoy ${value}`),
  };
}

const SETTLE_MS = 10_000;

/** Counters move a moment after the answer: asks again until they agree, or for a while. */
export async function settledComparison(
  sides: Sides,
  options: { readonly of: (side: Side) => Promise<Stats>; readonly family: RegExp; readonly known: readonly Difference[] },
): Promise<Comparison> {
  for (const until = Date.now() + SETTLE_MS; ;) {
    const [weft, envoy] = await Promise.all([options.of(sides.weft), options.of(sides.envoy)]);
    const comparison = compareStats(weft, envoy, options.family, options.known);
    const { unequal, onlyWeft, onlyEnvoy } = comparison;
    if (unequal.length + onlyWeft.length + onlyEnvoy.length === 0 || Date.now() > until) return comparison;
    await new Promise((done) => setTimeout(done, 100));
  }
}
