/** Requests: kept-alive connections per identity, Unix sockets, other network namespaces and marks. */
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { Agent as TlsAgent } from "node:https";
import { isIP, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { HostError } from "#host/host-error.ts";
import type { HttpRequestOptions, HttpResponse, OpenedWebSocket, WebSocketHandler, WebSocketOptions } from "#host/http.ts";
import { rawSocket } from "#host/real/net/raw-socket.ts";
import { nodeHttp } from "./node-http.ts";
import { connectionOf } from "./web-socket.ts";

type Target = Omit<HttpRequestOptions, "method" | "body">;

const plainAgent = new nodeHttp.plain.Agent({ keepAlive: true });
/** By identity: connections of one client certificate must never serve another. */
const tlsAgents = new Map<string, TlsAgent>();

export async function request(options: HttpRequestOptions): Promise<HttpResponse> {
  for (;;) {
    try {
      return await send(options);
    } catch (error) {
      // The server closed a kept connection just as we took it: nothing was answered, and the request goes out on another.
      // Each try uses up a kept connection, and a new one is never stale, so this ends.
      if (!(error instanceof HostError && error.cause instanceof StaleConnection)) throw error;
    }
  }
}

class StaleConnection extends Error {}

function send(options: HttpRequestOptions): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const url = new URL(options.url);
    const fail = (cause: Error & { code?: string }) => reject(new HostError(cause.code ?? "EIO", `${options.method} ${options.url}`, cause.message, { cause }));
    let outgoing: ClientRequest;
    try {
      const start = url.protocol === "https:" ? nodeHttp.tls.request : nodeHttp.plain.request;
      outgoing = start(url, {
        method: options.method,
        headers: headersOf(options),
        ...route(options, url),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (cause) {
      fail(cause as Error);
      return;
    }
    const deadline = options.timeoutMs === undefined ? undefined : setTimeout(() => outgoing.destroy(timeout(options.timeoutMs)), options.timeoutMs);
    outgoing.once("error", (cause) => {
      clearTimeout(deadline);
      const { code } = cause as Error & { code?: string };
      fail(
        outgoing.reusedSocket && (code === "ECONNRESET" || code === "EPIPE") ? Object.assign(new StaleConnection(cause.message, { cause }), { code }) : cause,
      );
    });
    outgoing.once("response", (message) => {
      clearTimeout(deadline);
      resolve(responseOf(message, options));
    });
    outgoing.end(options.body);
  });
}

function timeout(milliseconds: number | undefined): Error {
  return Object.assign(new Error(`no answer within ${milliseconds} ms`), { code: "ETIMEDOUT" });
}

function headersOf(options: HttpRequestOptions): Record<string, string> {
  if (options.body === undefined) return { ...options.headers };
  return { ...options.headers, "content-length": String(Buffer.byteLength(options.body)) };
}

function responseOf(message: IncomingMessage, options: HttpRequestOptions): HttpResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  const broken = (cause: unknown): HostError => {
    const { code = "ECONNRESET", message: text } = cause as Error & { code?: string };
    return new HostError(code, `${options.method} ${options.url}`, `answer broke off: ${text}`, { cause });
  };
  return {
    status: message.statusCode ?? 0,
    headers,
    async text() {
      const chunks: Buffer[] = [];
      // A server that stops in the midst of its answer must not hold its caller for ever.
      if (options.timeoutMs !== undefined) message.setTimeout(options.timeoutMs, () => message.destroy(timeout(options.timeoutMs)));
      try {
        for await (const chunk of message) chunks.push(chunk as Buffer);
      } catch (cause) {
        throw broken(cause);
      }
      return Buffer.concat(chunks).toString("utf8");
    },
    async *chunks() {
      try {
        for await (const chunk of message) yield chunk as Buffer;
      } catch (cause) {
        throw broken(cause);
      }
    },
  };
}

/** How node's client gets its connection. */
function route(options: Target, url: URL): RequestOptions & { readonly rejectUnauthorized?: boolean; readonly servername?: string } {
  if (options.socketPath !== undefined) return { socketPath: options.socketPath, agent: false };
  // No agent at all: with one, even a new one, node:http does not call createConnection.
  if (options.netns !== undefined || options.mark !== undefined) return { createConnection: () => connectFrom(options, url) };
  // A kept connection may have another source.
  if (options.sourceIp !== undefined)
    return { localAddress: options.sourceIp, agent: false, ...(url.protocol === "https:" ? tlsOptions(options, url.hostname) : {}) };
  return { agent: url.protocol === "https:" ? tlsAgent(options) : plainAgent };
}

function tlsOptions(options: Target, host: string) {
  const { ca, certificate, privateKey, serverName, insecure } = options.tls ?? {};
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(privateKey === undefined ? {} : { key: privateKey }),
    // SNI has no IP addresses (RFC 6066 3).
    ...(serverName === undefined ? (isIP(host) === 0 && host !== "" ? { servername: host } : {}) : { servername: serverName }),
    rejectUnauthorized: insecure !== true,
  };
}

function tlsAgent(options: Target): TlsAgent {
  const key = JSON.stringify(options.tls ?? {});
  let agent = tlsAgents.get(key);
  if (agent === undefined) {
    // The host is given per request; servername follows it there.
    agent = new nodeHttp.tls.Agent({ keepAlive: true, ...tlsOptions(options, "") });
    tlsAgents.set(key, agent);
  }
  return agent;
}

/** A connection that starts in another namespace or with a mark. The host must be an IP address: names are resolved in ours. */
function connectFrom(options: Target, url: URL): Socket {
  const ip = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(ip) === 0) throw new HostError("EINVAL", options.url, "the host must be an IP address when a network namespace or mark is given");
  const port = Number(url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port);
  const socket = new Socket({ fd: rawSocket({ type: "stream", address: { ip, port }, netns: options.netns, mark: options.mark }) });
  socket.connect({ host: ip, port });
  return url.protocol === "https:" ? connectTls({ socket, ...tlsOptions(options, ip) }) : socket;
}

export function webSocket(options: WebSocketOptions, handler: WebSocketHandler): Promise<OpenedWebSocket> {
  return new Promise((resolve, reject) => {
    const url = new URL(options.url);
    const fail = (code: string, message: string, cause?: unknown) => reject(new HostError(code, options.url, message, { cause }));
    const direct = options.netns !== undefined || options.mark !== undefined ? { createConnection: () => connectFrom(options, url) } : {};
    const socket = new WebSocket(
      options.socketPath === undefined ? webSocketUrl(url) : `ws+unix:${options.socketPath}:${url.pathname}${url.search}`,
      [...options.protocols],
      {
        headers: options.headers,
        perMessageDeflate: false,
        ...(options.timeoutMs === undefined ? {} : { handshakeTimeout: options.timeoutMs }),
        ...(url.protocol === "https:" ? tlsOptions(options, url.hostname) : {}),
        ...direct,
      },
    );
    // Messages may follow the handshake at once: the handler is there before it.
    const connection = connectionOf(socket, handler);
    socket.once("open", () => resolve({ connection, protocol: socket.protocol }));
    socket.once("error", (cause: Error & { code?: string }) => fail(cause.code ?? "EIO", cause.message, cause));
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      responseOf(response, { ...options, method: "GET" })
        .text()
        .then(
          (body) => fail(`HTTP_${response.statusCode ?? 0}`, body),
          () => fail(`HTTP_${response.statusCode ?? 0}`, ""),
        )
        .finally(() => socket.terminate());
    });
  });
}

function webSocketUrl(url: URL): string {
  return url.href.replace(/^http/, "ws");
}
