/** 15014: /healthz (the program runs), /readyz (it serves), /metrics. Plain HTTP, as kubelet and Prometheus ask. */
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpServer } from "#host/http.ts";
import type { StreamAddress } from "#host/net.ts";
import type { Health } from "#run/health.ts";

export interface ControlPagesOptions {
  readonly address: StreamAddress;
  /** Of readiness. */
  readonly health: Health;
  /** Prometheus text. */
  readonly metrics: () => string;
}

export function serveControlPages(host: Pick<Host, "http">, options: ControlPagesOptions): Promise<HttpServer> {
  return host.http.serve({ address: options.address }, { onRequest: (exchange) => answer(options, exchange) });
}

function answer({ health, metrics }: ControlPagesOptions, exchange: HttpExchange): void {
  const { pathname } = new URL(exchange.url, "http://control");
  const text = (status: number, body: string): void => exchange.respond(status, { "content-type": "text/plain; charset=utf-8" }, body);
  if (exchange.method !== "GET" && exchange.method !== "HEAD") return text(405, `method ${exchange.method} is not allowed; GET is\n`);
  if (pathname === "/healthz") return text(200, "ok\n");
  if (pathname === "/readyz") {
    const { ok, text: report } = health.report();
    return text(ok ? 200 : 503, report);
  }
  if (pathname === "/metrics") return exchange.respond(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }, metrics());
  text(404, `there is no ${pathname} here; /healthz, /readyz and /metrics are\n`);
}
