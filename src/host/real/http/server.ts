/** Servers: plain or TLS with optional client certificates; upgrades to WebSocket. */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { SecureContextOptions, Server as TlsServer, TLSSocket } from "node:tls";
import { HostError } from "#host/host-error.ts";
import { DEFAULT_MAX_BODY_BYTES } from "#host/http.ts";
import type { HttpExchange, HttpHandler, HttpPeer, HttpServeOptions, HttpServer, HttpStream, HttpUpgrade } from "#host/http.ts";
import type { StreamAddress } from "#host/net.ts";
import { bindRaw, rawSocket } from "#host/real/net/raw-socket.ts";
import { nodeHttp } from "./node-http.ts";
import { acceptWebSocket } from "./web-socket.ts";

/** Longer than clients keep idle connections, so that they close first and never write into a closing one. */
const KEEP_ALIVE_MS = 120_000;

export async function serve(options: HttpServeOptions, handler: HttpHandler): Promise<HttpServer> {
  const server = makeServer(options, (message, response) => handler.onRequest(exchange(message, response, options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES)));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  // Watches are idle for long; node would close a request that takes more than 5 minutes to arrive, which stays.
  server.timeout = 0;
  server.on("upgrade", (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    if (handler.onUpgrade === undefined) refuse(socket, 400, {}, "this server accepts no upgrades\n");
    else handler.onUpgrade(upgrade(message, socket, head));
  });
  server.on("clientError", (_error, socket) => {
    if (socket.writable) refuse(socket, 400, {}, "malformed HTTP request\n");
    else socket.destroy();
  });
  await listen(server, options);
  return {
    address: addressOf(server, options.address),
    renew({ certificate, privateKey }) {
      if (!("setSecureContext" in server)) throw new HostError("EINVAL", nameOf(options.address), "the server has no TLS, so no certificate to renew");
      (server as unknown as TlsServer).setSecureContext(secureContext({ certificate, privateKey, clientCa: options.tls?.clientCa }));
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function makeServer({ tls }: HttpServeOptions, listener: RequestListener): Server {
  if (tls === undefined) return nodeHttp.plain.createServer(listener);
  try {
    return nodeHttp.tls.createServer(
      // A bad client certificate must get an answer that says so (401), not a broken handshake.
      { ...secureContext(tls), ...(tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: false }) },
      listener,
    );
  } catch (cause) {
    throw new HostError("ERR_TLS_CERT", "serving certificate", (cause as Error).message, { cause });
  }
}

function secureContext({
  certificate,
  privateKey,
  clientCa,
}: {
  certificate: string;
  privateKey: string;
  clientCa?: string | undefined;
}): SecureContextOptions {
  return { cert: certificate, key: privateKey, minVersion: "TLSv1.2", ...(clientCa === undefined ? {} : { ca: clientCa }) };
}

function listen(server: Server, { address, netns }: HttpServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error & { code?: string }) => reject(new HostError(cause.code ?? "EIO", nameOf(address), cause.message, { cause })));
    const listening = () => resolve();
    if ("path" in address) server.listen({ path: address.path }, listening);
    else if (netns === undefined) server.listen({ host: address.ip, port: address.port }, listening);
    else {
      const fd = rawSocket({ type: "stream", address, netns, reuseAddress: true });
      bindRaw(fd, address);
      server.listen({ fd }, listening);
    }
  });
}

function nameOf(address: StreamAddress): string {
  return "path" in address ? address.path : `${address.ip}:${address.port}`;
}

function addressOf(server: Server, asked: StreamAddress): StreamAddress {
  const bound = server.address();
  return bound === null || typeof bound === "string" ? asked : { ip: bound.address, port: bound.port };
}

function exchange(message: IncomingMessage, response: ServerResponse, maxBodyBytes: number): HttpExchange {
  return {
    method: message.method ?? "GET",
    url: message.url ?? "/",
    headers: flat(message),
    peer: peerOf(message),
    body: () => readBody(message, maxBodyBytes),
    respond(status, headers, body = "") {
      if (response.headersSent || response.destroyed) return;
      const bytes = typeof body === "string" ? Buffer.from(body) : body;
      response.writeHead(status, { ...headers, "content-length": String(bytes.length) });
      response.end(message.method === "HEAD" ? undefined : bytes);
    },
    stream: (status, headers, closed) => stream(response, status, headers, closed),
  };
}

function stream(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>, closed: () => void): HttpStream {
  response.once("close", closed);
  response.on("error", () => response.destroy());
  response.writeHead(status, headers);
  response.flushHeaders();
  return {
    write: (chunk) => void response.write(chunk),
    end: () => void response.end(),
    get bufferedBytes() {
      return response.writableLength;
    },
  };
}

function upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): HttpUpgrade {
  return {
    url: message.url ?? "/",
    headers: flat(message),
    peer: peerOf(message),
    protocols: (message.headers["sec-websocket-protocol"] ?? "").split(",").flatMap((name) => (name.trim() === "" ? [] : [name.trim()])),
    accept: (protocol, handler) => acceptWebSocket({ message, socket, head, protocol }, handler),
    refuse: (status, headers, body) => refuse(socket, status, headers, body),
  };
}

function refuse(socket: Duplex, status: number, headers: Readonly<Record<string, string>>, body: string): void {
  const lines = Object.entries({ ...headers, "content-length": String(Buffer.byteLength(body)), connection: "close" }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join("")}\r\n${body}`);
}

function flat(message: IncomingMessage): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  return headers;
}

/** Of a connection, which carries many requests: reading a certificate costs more than answering most of them. */
const peers = new WeakMap<object, HttpPeer>();

function peerOf({ socket }: IncomingMessage): HttpPeer {
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const peer = readPeer(socket);
  peers.set(socket, peer);
  return peer;
}

function readPeer(connection: IncomingMessage["socket"]): HttpPeer {
  const socket = connection as Partial<TLSSocket> & { readonly remoteAddress?: string };
  const address = socket.remoteAddress ?? "";
  const given = socket.getPeerCertificate?.();
  // Node has an empty object for a peer without a certificate.
  if (given === undefined || Object.keys(given).length === 0) return { address, certificate: undefined, certificateProblem: undefined };
  if (socket.authorized !== true) return { address, certificate: undefined, certificateProblem: problemText(socket.authorizationError) };
  const subject = given.subject as unknown as Readonly<Record<string, string | readonly string[]>>;
  const texts = (value: string | readonly string[] | undefined): readonly string[] => (value === undefined ? [] : typeof value === "string" ? [value] : value);
  return { address, certificate: { commonName: texts(subject["CN"])[0] ?? "", organizations: texts(subject["O"]) }, certificateProblem: undefined };
}

const knownProblems: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "certificate has expired",
  CERT_NOT_YET_VALID: "certificate is not yet valid",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "certificate is signed by an unknown authority",
  SELF_SIGNED_CERT_IN_CHAIN: "certificate is signed by an unknown authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "certificate is signed by an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "certificate is signed by an unknown authority",
};

function problemText(error: unknown): string {
  const code = error instanceof Error ? ((error as Error & { code?: string }).code ?? error.message) : String(error);
  return knownProblems[code] ?? code;
}

function readBody(message: IncomingMessage, maxBodyBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    message.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBodyBytes) chunks.push(chunk);
    });
    message.once("error", (cause) => reject(new HostError("ECONNRESET", "request body", cause.message, { cause })));
    message.once("end", () => {
      if (size > maxBodyBytes) reject(new HostError("EMSGSIZE", "request body", `larger than ${maxBodyBytes} bytes`));
      else resolve(Buffer.concat(chunks));
    });
  });
}
