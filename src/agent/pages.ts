/**
 * The agent's pages: /flows, /metrics, /healthz. Who may read what:
 * - embedded cluster (`certificates`): all but /healthz only who has a certificate of the cluster's CA and is in a reading group.
 * - Kubernetes (`api-servers`): HTTP on the node's address. /flows tells who talks to whom, so only API servers are answered:
 *   users come through `/api/v1/namespaces/weft-system/pods/POD:10252/proxy/flows`, which takes their right `get` on
 *   `pods/proxy` there. The API server hands on neither their name nor their token, so there is nothing else to check; its
 *   address is that of the endpoints of default/kubernetes, which a pod cannot pretend to have (compile/routes/guard.ts).
 *   /metrics are counters: as those of the proxies they are open to whoever reaches the node.
 * - Kubernetes with profile mesh (`anyone`): no packet is dropped by us, so there is nothing that /flows could tell.
 */
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpServer, HttpServeOptions } from "#host/http.ts";
import type { SocketAddress } from "#host/net.ts";
import type { FlowRecord } from "#model/flow.ts";
import type { World } from "#model/world.ts";
import type { Health } from "#run/health.ts";
import type { FlowLog } from "./flow-log.ts";

export interface PagesAccess {
  readonly address: SocketAddress;
  readonly tls?: NonNullable<HttpServeOptions["tls"]>;
  readonly readers: "certificates" | "api-servers" | "anyone";
}

export interface PagesOptions extends PagesAccess {
  readonly world: () => World;
  readonly flows: FlowLog;
  readonly health: Health;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
}

/** The API server asks for pages as itself; node names are system:node:NAME. */
const GROUPS = new Set(["system:masters", "system:monitoring"]);

export function servePages(host: Pick<Host, "http">, options: PagesOptions): Promise<HttpServer> {
  const { address, tls } = options;
  return host.http.serve({ address, ...(tls === undefined ? {} : { tls }) }, { onRequest: (exchange) => answer(options, exchange) });
}

function answer(options: PagesOptions, exchange: HttpExchange): void {
  const { flows, health, metrics } = options;
  const { pathname, searchParams } = new URL(exchange.url, "https://agent");
  const text = (status: number, body: string) => exchange.respond(status, { "content-type": "text/plain; charset=utf-8" }, body);
  if (exchange.method !== "GET") return text(405, `method ${exchange.method} is not allowed; GET is\n`);
  if (pathname === "/healthz" || pathname === "/readyz") {
    const { ok, text: report } = health.report();
    return text(ok ? 200 : 503, report);
  }
  const refusal = refusalOf(options, exchange, pathname);
  if (refusal !== undefined) return text(refusal.status, `${refusal.message}\n`);
  if (pathname === "/metrics") {
    return void metrics().then(
      (body) => exchange.respond(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }, body),
      (error: unknown) => text(500, `${String(error)}\n`),
    );
  }
  if (pathname === "/flows") return serveFlows(flows, exchange, searchParams);
  text(404, `there is no ${pathname} here; /flows, /metrics, /healthz and /readyz are\n`);
}

function refusalOf(
  { readers, world }: PagesOptions,
  { peer }: HttpExchange,
  pathname: string,
): { readonly status: number; readonly message: string } | undefined {
  if (readers === "certificates") {
    if ((peer.certificate?.organizations ?? []).some((group) => GROUPS.has(group))) return undefined;
    const message = "only system:masters may read this; come through the API server: nodes/NAME:10252/proxy/...";
    return { status: peer.certificate === undefined ? 401 : 403, message };
  }
  if (readers === "anyone" || pathname !== "/flows" || isApiServer(world(), peer.address)) return undefined;
  return { status: 403, message: `${peer.address} is no API server; come through one: weft flows, or kubectl get --raw .../pods/NAME:10252/proxy/flows` };
}

/** Every API server keeps its address in the endpoints of default/kubernetes. */
function isApiServer(world: World, address: string): boolean {
  for (const slice of world.EndpointSlice?.values() ?? []) {
    if (slice.metadata.namespace !== "default" || slice.metadata.labels?.["kubernetes.io/service-name"] !== "kubernetes") continue;
    if (slice.endpoints.some(({ addresses }) => addresses.includes(address))) return true;
  }
  return false;
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
