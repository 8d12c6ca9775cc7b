/**
 * What the four services have in common: an HTTP server with a few routes, calls to other services that carry the
 * caller's tracing headers along, and an orderly end. No dependencies, so that a pod starts in a moment.
 */
import { Agent, createServer, request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body: string | object;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** What follows the route's prefix: "0" of /reviews/0. */
  readonly rest: string;
  body(): Promise<string>;
}

/** "GET /reviews/" answers every path below it; without the slash at the end only that very path. */
export type Routes = Readonly<Record<string, (asked: Asked) => Answer | Promise<Answer>>>;

export function serve(name: string, routes: Routes): void {
  const port = Number(process.argv[2] ?? 9080);
  const server = createServer((incoming, response) => {
    void answer(routes, incoming)
      .catch((error: unknown): Answer => ({ status: 500, body: { error: String(error) } }))
      .then(({ status = 200, headers = {}, body }) => {
        const isText = typeof body === "string";
        const bytes = Buffer.from(isText ? body : JSON.stringify(body));
        const type = isText ? "text/html; charset=utf-8" : "application/json";
        response.writeHead(status, { "content-type": type, "content-length": bytes.length, ...headers });
        response.end(bytes);
      });
  });
  server.listen(port, "0.0.0.0", () => process.stdout.write(`${name} listens on ${port}\n`));
  // Requests in flight end first; idle connections are closed at once.
  process.on("SIGTERM", () => {
    process.stdout.write(`${name} stops\n`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

async function answer(routes: Routes, incoming: IncomingMessage): Promise<Answer> {
  const { pathname } = new URL(incoming.url ?? "/", "http://service");
  const method = incoming.method ?? "GET";
  for (const [route, handle] of Object.entries(routes)) {
    const [wantedMethod, wantedPath = ""] = route.split(" ");
    if (wantedMethod !== method) continue;
    const below = wantedPath.endsWith("/") && wantedPath !== "/";
    if (below ? !pathname.startsWith(wantedPath) : pathname !== wantedPath) continue;
    return handle({ method, path: pathname, headers: incoming.headers, rest: pathname.slice(wantedPath.length), body: () => textOf(incoming) });
  }
  return { status: 404, body: { error: `${method} ${pathname}: there is no such page` } };
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Passed on so that one trace spans all services (W3C, B3 and relatives), and so that routes may depend on the user. */
const carried = [
  "x-request-id",
  "traceparent",
  "tracestate",
  "baggage",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "x-ot-span-context",
  "authorization",
  "cookie",
  "end-user",
  "user-agent",
];

export function carriedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of carried) {
    const value = headers[name];
    if (typeof value === "string") out[name] = value;
  }
  return out;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true });

/** `service` is a name such as "reviews"; <SERVICE>_HOSTNAME, <SERVICE>_SERVICE_PORT and SERVICES_DOMAIN say where it is. */
export function call(service: string, path: string, options: { readonly headers: Record<string, string>; readonly timeoutMs: number }): Promise<Reply> {
  const key = service.toUpperCase();
  const domain = process.env["SERVICES_DOMAIN"];
  const host = `${process.env[`${key}_HOSTNAME`] ?? service}${domain === undefined || domain === "" ? "" : `.${domain}`}`;
  const port = process.env[`${key}_SERVICE_PORT`] ?? "9080";
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path, agent, headers: options.headers, timeout: options.timeoutMs }, (incoming) => {
      textOf(incoming).then((body) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }), reject);
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`${service} did not answer within ${options.timeoutMs} ms`)));
    outgoing.on("error", reject);
    outgoing.end();
  });
}
