/**
 * Host.Http in memory: clients and servers of one simulated world meet in a `FakeHttpNetwork`. Every piece takes
 * `delayMs` of virtual time, and pieces of a connection stay in order. TLS is facts about the peers, checked with the
 * same certificates. Network namespaces are not modelled: addresses of a world are unique.
 */
import { X509Certificate } from "node:crypto";
import type { Clock } from "#host/clock.ts";
import { HostError } from "#host/host-error.ts";
import { DEFAULT_MAX_BODY_BYTES } from "#host/http.ts";
import type {
  Http,
  HttpExchange,
  HttpHandler,
  HttpPeer,
  HttpRequestOptions,
  HttpResponse,
  HttpServeOptions,
  HttpServer,
  OpenedWebSocket,
  WebSocketConnection,
  WebSocketHandler,
  WebSocketOptions,
} from "#host/http.ts";

interface Service {
  options: HttpServeOptions;
  readonly handler: HttpHandler;
  /** Breaks off an answer in progress. */
  readonly open: Set<() => void>;
}

interface Added extends Pick<HttpServer, "address" | "renew"> {
  readonly remove: () => void;
}

/** Where the servers of one world listen. */
export class FakeHttpNetwork {
  readonly #services = new Map<string, Service>();
  #nextPort = 40_000;

  add(options: HttpServeOptions, handler: HttpHandler): Added {
    const address = "path" in options.address || options.address.port !== 0 ? options.address : { ip: options.address.ip, port: this.#nextPort++ };
    const key = "path" in address ? address.path : `${address.ip}:${address.port}`;
    if (this.#services.has(key)) throw new HostError("EADDRINUSE", key, "address is in use by another server of this world");
    const service: Service = { options, handler, open: new Set() };
    this.#services.set(key, service);
    const remove = () => {
      this.#services.delete(key);
      for (const breakOff of [...service.open]) breakOff();
    };
    return { address, remove, renew: (own) => void (service.options = { ...service.options, tls: { ...service.options.tls, ...own } }) };
  }

  find(options: Pick<HttpRequestOptions, "url" | "socketPath">): Service | undefined {
    if (options.socketPath !== undefined) return this.#services.get(options.socketPath);
    const { hostname, port, protocol } = new URL(options.url);
    const number = port === "" ? (protocol === "https:" ? "443" : "80") : port;
    return this.#services.get(`${hostname === "localhost" ? "127.0.0.1" : hostname}:${number}`) ?? this.#services.get(`0.0.0.0:${number}`);
  }
}

export function fakeHttp(clock: Clock, network: FakeHttpNetwork, delayMs = 1): Http {
  return {
    serve(options, handler) {
      try {
        const { address, remove, renew } = network.add(options, handler);
        return Promise.resolve({ address, renew, close: () => Promise.resolve(remove()) });
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)));
      }
    },
    request: (options) => new Promise((resolve, reject) => new FakeRequest({ clock, delayMs, options, resolve, reject }).start(network)),
    webSocket: (options, handler) => openWebSocket({ clock, delayMs, network }, options, handler),
  };
}

interface RequestParts {
  readonly clock: Clock;
  readonly delayMs: number;
  readonly options: HttpRequestOptions;
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (error: HostError) => void;
}

class FakeRequest {
  readonly #parts: RequestParts;
  readonly #subject: string;
  #service: Service | undefined;
  #chunks: Uint8Array[] = [];
  #state: "waiting" | "answering" | "ended" | "broken" = "waiting";
  #wake: (() => void) | undefined;
  #closed: (() => void) | undefined;

  constructor(parts: RequestParts) {
    this.#parts = parts;
    this.#subject = `${parts.options.method} ${parts.options.url}`;
  }

  start(network: FakeHttpNetwork): void {
    const { clock, options, delayMs } = this.#parts;
    options.signal?.addEventListener("abort", () => this.#fail("ABORT_ERR", "aborted"), { once: true });
    if (options.signal?.aborted === true) return this.#fail("ABORT_ERR", "aborted");
    if (options.timeoutMs !== undefined) {
      clock.after(options.timeoutMs, () => {
        if (this.#state === "waiting") this.#fail("ETIMEDOUT", `no answer within ${options.timeoutMs} ms`);
      });
    }
    clock.after(delayMs, () => this.#arrive(network.find(options)));
  }

  #arrive(service: Service | undefined): void {
    const { options } = this.#parts;
    if (this.#state !== "waiting") return;
    if (service === undefined) return this.#fail("ECONNREFUSED", "connection refused");
    const peer = peerOf(service.options, options, this.#parts.clock.now());
    if (typeof peer === "string") return this.#fail("ERR_TLS", peer);
    this.#service = service;
    service.open.add(this.#breakOff);
    service.handler.onRequest(this.#exchange(peer, service.options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES));
  }

  #exchange(peer: HttpPeer, maxBodyBytes: number): HttpExchange {
    const { options } = this.#parts;
    const url = new URL(options.url);
    const body = typeof options.body === "string" ? Buffer.from(options.body) : (options.body ?? new Uint8Array());
    return {
      method: options.method,
      url: `${url.pathname}${url.search}`,
      headers: { host: url.host, ...lowerCase(options.headers) },
      peer,
      body: () =>
        body.length > maxBodyBytes ? Promise.reject(new HostError("EMSGSIZE", "request body", `larger than ${maxBodyBytes} bytes`)) : Promise.resolve(body),
      respond: (status, headers, answer = "") => {
        const stream = this.#answer(status, headers, () => undefined);
        if (answer.length > 0 && options.method !== "HEAD") stream.write(answer);
        stream.end();
      },
      stream: (status, headers, closed) => this.#answer(status, headers, closed),
    };
  }

  #answer(status: number, headers: Readonly<Record<string, string>>, closed: () => void) {
    this.#closed = closed;
    this.#later(() => {
      if (this.#state !== "waiting") return;
      this.#state = "answering";
      this.#parts.resolve({ status, headers: lowerCase(headers), text: () => this.#text(), chunks: () => this.#read() });
    });
    return {
      write: (chunk: string | Uint8Array) => {
        const copy = typeof chunk === "string" ? Buffer.from(chunk) : chunk.slice();
        this.#later(() => {
          if (this.#state !== "answering") return;
          this.#chunks.push(copy);
          this.#wakeUp();
        });
      },
      end: () => {
        this.#later(() => {
          if (this.#state === "answering") this.#finish("ended");
        });
      },
      bufferedBytes: 0,
    };
  }

  /** Who stops reading lets the connection go. */
  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#pieces();
    } finally {
      this.#fail("ECONNRESET", "not read to the end");
    }
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#state === "ended") return;
      else if (this.#state === "broken") throw new HostError("ECONNRESET", this.#subject, "answer broke off");
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async #text(): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#read()) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }

  readonly #breakOff = (): void => this.#fail("ECONNRESET", "connection reset");

  #fail(code: string, message: string): void {
    if (this.#state === "waiting") this.#parts.reject(new HostError(code, this.#subject, message));
    if (this.#state === "waiting" || this.#state === "answering") this.#finish("broken");
  }

  #finish(state: "ended" | "broken"): void {
    this.#state = state;
    this.#service?.open.delete(this.#breakOff);
    this.#wakeUp();
    this.#closed?.();
    this.#closed = undefined;
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #later(action: () => void): void {
    this.#parts.clock.after(this.#parts.delayMs, action);
  }
}

interface World {
  readonly clock: Clock;
  readonly delayMs: number;
  readonly network: FakeHttpNetwork;
}

function openWebSocket({ clock, delayMs, network }: World, options: WebSocketOptions, client: WebSocketHandler): Promise<OpenedWebSocket> {
  return new Promise((resolve, reject) => {
    const fail = (code: string, message: string) => reject(new HostError(code, options.url, message));
    clock.after(delayMs, () => {
      const service = network.find(options);
      if (service === undefined) return fail("ECONNREFUSED", "connection refused");
      const peer = peerOf(service.options, options, clock.now());
      if (typeof peer === "string") return fail("ERR_TLS", peer);
      if (service.handler.onUpgrade === undefined) return fail("HTTP_400", "this server accepts no upgrades\n");
      const { pathname, search } = new URL(options.url);
      service.handler.onUpgrade({
        url: `${pathname}${search}`,
        headers: lowerCase(options.headers),
        peer,
        protocols: options.protocols,
        accept(protocol, server) {
          const [near, far] = socketPair({ clock, delayMs }, client, server);
          clock.after(delayMs, () => resolve({ connection: near, protocol: protocol ?? "" }));
          return far;
        },
        refuse: (status, _headers, body) => fail(`HTTP_${status}`, body),
      });
    });
  });
}

function socketPair(
  { clock, delayMs }: Omit<World, "network">,
  client: WebSocketHandler,
  server: WebSocketHandler,
): readonly [WebSocketConnection, WebSocketConnection] {
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    clock.after(delayMs, () => {
      client.onClose();
      server.onClose();
    });
  };
  const side = (other: WebSocketHandler): WebSocketConnection => ({
    send(bytes) {
      if (!isOpen) return;
      const copy = typeof bytes === "string" ? Buffer.from(bytes) : bytes.slice();
      clock.after(delayMs, () => other.onMessage(copy, typeof bytes !== "string"));
    },
    close,
    bufferedBytes: 0,
  });
  return [side(server), side(client)];
}

function lowerCase(headers: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** What the server learns about the client; a string: why the handshake fails. */
function peerOf(server: HttpServeOptions, client: Pick<HttpRequestOptions, "url" | "tls" | "socketPath">, now: number): HttpPeer | string {
  const isTls = new URL(client.url).protocol === "https:";
  const nobody: HttpPeer = { address: "fake", certificate: undefined, certificateProblem: undefined };
  if (server.tls === undefined) return isTls ? "the server speaks cleartext" : nobody;
  if (!isTls) return "the server speaks TLS";
  const { hostname } = new URL(client.url);
  const leaf = new X509Certificate(server.tls.certificate);
  const name = client.tls?.serverName ?? hostname;
  if (client.tls?.insecure !== true) {
    if (!signedBy(leaf, client.tls?.ca ?? "")) return "the server's certificate is not signed by the client's CA";
    if (leaf.checkHost(name) === undefined && leaf.checkIP(name) === undefined) return `the server's certificate is not for ${name}`;
  }
  if (client.tls?.certificate === undefined || server.tls.clientCa === undefined) return nobody;
  const own = new X509Certificate(client.tls.certificate);
  if (Date.parse(own.validTo) < now) return { ...nobody, certificateProblem: "certificate has expired" };
  if (!signedBy(own, server.tls.clientCa)) return { ...nobody, certificateProblem: "certificate is signed by an unknown authority" };
  const subject = own.subject.split("\n").map((line) => line.split("=") as [string, string]);
  const of = (field: string) => subject.filter(([each]) => each === field).map(([, value]) => value);
  return { ...nobody, certificate: { commonName: of("CN")[0] ?? "", organizations: of("O") } };
}

function signedBy(leaf: X509Certificate, bundle: string): boolean {
  const authorities = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return authorities.some((pem) => leaf.verify(new X509Certificate(pem).publicKey));
}
