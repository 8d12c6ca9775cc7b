/** `tls_inspector.*` and `http_inspector.*`: what the first bytes of connections were. */
import type { Counter, Stats } from "#proxy/stats/stats.ts";
import type { Hello } from "./client-hello.ts";

export class InspectorStats {
  readonly #tls: Readonly<Record<string, Counter>>;
  readonly #http: Readonly<Record<string, Counter>>;

  constructor(stats: Stats) {
    const make = (scope: string, names: string): Readonly<Record<string, Counter>> =>
      Object.fromEntries(names.split(" ").map((name) => [name, stats.plain(scope).counter(name)]));
    this.#tls = make("tls_inspector", "tls_found tls_not_found sni_found sni_not_found alpn_found alpn_not_found");
    this.#http = make("http_inspector", "http10_found http11_found http2_found http_not_found");
  }

  /** undefined: that was no TLS. */
  sawTls(hello: Hello | undefined): void {
    if (hello === undefined) return count(this.#tls["tls_not_found"]);
    count(this.#tls["tls_found"]);
    count(this.#tls[hello.serverName === undefined ? "sni_not_found" : "sni_found"]);
    count(this.#tls[hello.alpn.length === 0 ? "alpn_not_found" : "alpn_found"]);
  }

  /** As sniffHttp tells it. */
  sawHttp(protocol: string): void {
    const name = { "http/1.0": "http10_found", "http/1.1": "http11_found", h2c: "http2_found" }[protocol] ?? "http_not_found";
    count(this.#http[name]);
  }
}

function count(counter: Counter | undefined): void {
  if (counter !== undefined) counter.value++;
}
