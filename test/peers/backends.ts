/** What the proxies under test forward to. Each listens on a port of its own. */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export interface Backends {
  /** HTTP: tells in its body what it was sent. */
  readonly http: number;
  /** Accepts, and never answers. */
  readonly silent: number;
  /** Sends back what it gets. */
  readonly echo: number;
  /** Answers with the bytes that the path spells out in base64url: whatever an upstream may get wrong. */
  readonly broken: number;
  /** As `http`, with TLS; 0 without a certificate for it. */
  readonly tls: number;
  stop(): void;
}

/** Nobody listens at the ports below 1024 of a test machine's loopback, this one least of all. */
export const DEAD_PORT = 1;

export async function startBackends(identity?: { readonly certificate: string; readonly privateKey: string }): Promise<Backends> {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const listening = async (server: Server): Promise<number> => {
    servers.push(server);
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  };
  return {
    http: await listening(telling()),
    silent: await listening(createServer()),
    echo: await listening(createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket))),
    broken: await listening(createServer((socket) => socket.once("data", (bytes) => answerAsTold(socket, bytes.toString("latin1"))))),
    tls: identity === undefined ? 0 : await listening(createTlsServer({ cert: identity.certificate, key: identity.privateKey }, tellRequest)),
    stop() {
      for (const server of servers) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function answerAsTold(socket: Socket, head: string): void {
  const told = /^\S+ \S*\/broken\/(\S*) /.exec(head)?.[1] ?? "";
  socket.end(Buffer.from(told, "base64url"));
}

function telling(): Server {
  return createHttpServer({ keepAliveTimeout: 600_000 }, tellRequest);
}

function tellRequest(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const chunks: Buffer[] = [];
  incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
  incoming.on("end", () => tell(incoming, outgoing, Buffer.concat(chunks)));
}

/** Headers that a proxy decides on; others differ by nature (x-request-id) or are the client's own. */
const TOLD =
  /^(host|x-added|x-set|x-gone|x-user|x-forwarded-(for|proto|host|client-cert)|x-envoy-.*|traceparent|tracestate|b3|x-b3-.*|content-length|transfer-encoding|te|trailer|expect|upgrade|keep-alive|proxy-.*)$/;

function tell(incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer): void {
  const url = incoming.url ?? "";
  if (url.startsWith("/reset")) {
    incoming.socket.destroy();
    return;
  }
  outgoing.setHeader("x-backend", "yes");
  outgoing.setHeader("x-method", incoming.method ?? "");
  const status = /\/status\/(\d{3})/.exec(url)?.[1];
  if (status !== undefined) outgoing.statusCode = Number(status);
  const told: Record<string, string> = {};
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    const name = (incoming.rawHeaders[i] ?? "").toLowerCase();
    if (TOLD.test(name)) told[name] = name in told ? `${told[name]}|${incoming.rawHeaders[i + 1]}` : (incoming.rawHeaders[i + 1] ?? "");
  }
  const headers = Object.fromEntries(Object.entries(told).sort(([a], [b]) => (a < b ? -1 : 1)));
  const text = JSON.stringify({ method: incoming.method, url, headers, body: body.toString("latin1") });
  if (url.includes("/truncated")) {
    outgoing.setHeader("content-length", text.length + 10);
    outgoing.write(text, () => incoming.socket.destroy());
  } else if (url.includes("/chunked")) {
    outgoing.write(text.slice(0, 5));
    outgoing.end(text.slice(5));
  } else outgoing.end(text);
}
