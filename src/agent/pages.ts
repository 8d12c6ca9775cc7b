/** The agent's HTTPS: /flows, /metrics, /healthz. Only who has a certificate of the cluster's CA is answered. */
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpServer } from "#host/http.ts";
import type { Health } from "#run/health.ts";
import type { FlowRecord } from "#model/flow.ts";
import type { FlowLog } from "./flow-log.ts";

export interface PagesOptions {
  readonly address: { readonly ip: string; readonly port: number };
  readonly tls: { readonly certificate: string; readonly privateKey: string; readonly ca: string };
  readonly flows: FlowLog;
  readonly health: Health;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
}

/** The API server asks for pages as itself; node names are system:node:NAME. */
const READERS = new Set(["system:masters", "system:monitoring"]);

export function servePages(host: Pick<Host, "http">, options: PagesOptions): Promise<HttpServer> {
  const { certificate, privateKey, ca } = options.tls;
  return host.http.serve({ address: options.address, tls: { certificate, privateKey, clientCa: ca } }, { onRequest: (exchange) => answer(options, exchange) });
}

function answer({ flows, health, metrics }: PagesOptions, exchange: HttpExchange): void {
  const { pathname, searchParams } = new URL(exchange.url, "https://agent");
  const text = (status: number, body: string) => exchange.respond(status, { "content-type": "text/plain; charset=utf-8" }, body);
  if (exchange.method !== "GET") return text(405, `method ${exchange.method} is not allowed; GET is\n`);
  if (pathname === "/healthz") {
    const { ok, text: report } = health.report();
    return text(ok ? 200 : 503, report);
  }
  const groups = exchange.peer.certificate?.organizations ?? [];
  if (!groups.some((group) => READERS.has(group)))
    return text(
      exchange.peer.certificate === undefined ? 401 : 403,
      "only system:masters may read this; come through the API server: nodes/NAME:10252/proxy/...\n",
    );
  if (pathname === "/metrics") {
    return void metrics().then(
      (body) => exchange.respond(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }, body),
      (error: unknown) => text(500, `${String(error)}\n`),
    );
  }
  if (pathname === "/flows") return serveFlows(flows, exchange, searchParams);
  text(404, `there is no ${pathname} here; /flows, /metrics and /healthz are\n`);
}

/** `verdict`: only these. `follow=true`: one JSON line a record, for ever; else a JSON list. */
function serveFlows(flows: FlowLog, exchange: HttpExchange, query: URLSearchParams): void {
  const verdict = query.get("verdict");
  const wanted = (record: FlowRecord) => verdict === null || record.verdict === verdict;
  const found = flows.records().filter(wanted);
  if (query.get("follow") !== "true") return exchange.respond(200, { "content-type": "application/json" }, JSON.stringify(found));
  const following: { close?: () => void } = {};
  const stream = exchange.stream(200, { "content-type": "application/x-ndjson" }, () => following.close?.());
  const line = (record: FlowRecord) => stream.write(`${JSON.stringify(record)}\n`);
  found.forEach(line);
  const subscription = flows.follow((record) => wanted(record) && line(record));
  following.close = () => subscription.close();
}
