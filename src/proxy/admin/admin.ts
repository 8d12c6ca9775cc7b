/** The admin interface under Envoy's paths. It listens where the bootstrap says, loopback in a pod. */
import type { Http, HttpExchange, HttpServer } from "#host/http.ts";
import type { StreamAddress } from "#host/net.ts";
import { compileRe2 } from "#decide/match/regex.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import type { StatsQuery } from "#proxy/stats/stats.ts";
import { clustersJson, clustersText } from "./clusters-text.ts";
import { configDump, type DumpSources } from "./config-dump.ts";

export interface AdminOptions extends DumpSources {
  readonly http: Http;
  readonly address: StreamAddress;
  readonly machine: ProxyMachine;
  readonly nodeId: string;
  readonly isReady: () => boolean;
  readonly quit: () => void;
}

type Page = (options: AdminOptions, query: URLSearchParams) => { readonly status?: number; readonly type?: string; readonly body: string };

const JSON_TYPE = "application/json";

const PAGES: Readonly<Record<string, Page>> = {
  "/ready": ({ isReady }) => (isReady() ? { body: "LIVE\n" } : { status: 503, body: "PRE_INITIALIZING\n" }),
  "/config_dump": (options, query) => {
    for (const name of ["mask", "name_regex"])
      if (query.has(name)) throw new Error(`config_dump: ${name} is not supported by weft proxy; resource and include_eds are`);
    return { type: JSON_TYPE, body: configDump(options, { resource: query.get("resource") ?? undefined, includeEndpoints: query.has("include_eds") }) };
  },
  "/clusters": ({ machine }, query) =>
    query.get("format") === "json" ? { type: JSON_TYPE, body: clustersJson(machine.clusters.values()) } : { body: clustersText(machine.clusters.values()) },
  "/listeners": ({ store }, query) => {
    const listeners = [...store.runtimes.values()];
    if (query.get("format") !== "json") return { body: listeners.map((listener) => `${listener.text()}\n`).join("") };
    const statuses = listeners.map(({ name, address }) => ({
      name,
      local_address: "path" in address ? { pipe: address } : { socket_address: { address: address.ip, port_value: address.port } },
    }));
    return { type: JSON_TYPE, body: JSON.stringify({ listener_statuses: statuses }) };
  },
  "/stats": ({ machine }, query) => {
    const wanted = statsQuery(query);
    if (query.get("format") === "prometheus") return { type: PROMETHEUS_TYPE, body: machine.stats.prometheus(wanted) };
    return query.get("format") === "json" ? { type: JSON_TYPE, body: machine.stats.json(wanted) } : { body: machine.stats.text(wanted) };
  },
  "/stats/prometheus": ({ machine }, query) => ({ type: PROMETHEUS_TYPE, body: machine.stats.prometheus(statsQuery(query)) }),
  "/help": () => ({
    body: `admin pages of weft proxy, under Envoy's paths:\n${Object.entries(HELP)
      .map(([path, text]) => `  ${path}: ${text}\n`)
      .join("")}`,
  }),
  "/server_info": ({ isReady, machine, startedMs, nodeId }) => ({
    type: JSON_TYPE,
    body: JSON.stringify({
      version: "weft/0.1.0/proxy",
      state: machine.draining ? "DRAINING" : isReady() ? "LIVE" : "PRE_INITIALIZING",
      hot_restart_version: "disabled",
      uptime_current_epoch: `${Math.floor((machine.clock.now() - startedMs) / 1000)}s`,
      node: { id: nodeId },
    }),
  }),
};

const HELP = {
  "/ready": "LIVE once all that the configuration asks for has come; else 503",
  "/config_dump": "configuration at work; ?resource=static_clusters shows one list, ?include_eds endpoints too",
  "/clusters": "clusters and their endpoints; ?format=json",
  "/listeners": "listeners and their addresses; ?format=json",
  "/stats": "counters; ?filter=REGEX, ?usedonly, ?format=json or prometheus",
  "/stats/prometheus": "counters and histograms for Prometheus; ?usedonly",
  "/server_info": "version and state",
  "/quitquitquit (POST)": "drain and end",
};

/** The user's own expression runs here once per name, so it gets RE2's linear time. */
function statsQuery(query: URLSearchParams): StatsQuery {
  const pattern = query.get("filter");
  const filter = pattern === null ? undefined : compileRe2(pattern, "filter");
  return { matches: (name) => filter?.matcher(name).find() ?? true, usedOnly: query.has("usedonly") };
}

const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=UTF-8";

export function serveAdmin(options: AdminOptions): Promise<HttpServer> {
  return options.http.serve({ address: options.address }, { onRequest: (exchange) => answer(options, exchange) });
}

function answer(options: AdminOptions, exchange: HttpExchange): void {
  const { pathname, searchParams } = new URL(exchange.url, "http://admin");
  const send = (status: number, body: string, type = "text/plain; charset=UTF-8"): void =>
    exchange.respond(status, { "content-type": type, "cache-control": "no-cache, max-age=0", "x-content-type-options": "nosniff", server: "weft" }, body);
  if (pathname === "/quitquitquit") {
    if (exchange.method !== "POST") return send(405, "Method Not Allowed: use POST\n");
    send(200, "OK\n");
    options.quit();
    return;
  }
  const page = PAGES[pathname];
  if (page === undefined) return send(404, `there is no ${pathname}; there are: ${[...Object.keys(PAGES), "/quitquitquit"].join(" ")}\n`);
  try {
    const { status = 200, body, type } = page(options, searchParams);
    send(status, body, type);
  } catch (error) {
    send(400, `${error instanceof Error ? error.message : String(error)}\n`);
  }
}
