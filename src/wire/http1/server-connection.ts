/**
 * The server side of an HTTP/1.1 connection: requests in, responses out, one stream at a time. Requests that were sent
 * ahead (pipelining) wait as bytes, and reading pauses, until the response before them is whole.
 *
 * The owner feeds it what the socket says (`onData`, `onEnd`, `onClose`, `onDrain`) and makes a RequestHandler per request.
 * No timers: the owner looks at `idle` and `lingering` and closes what waits too long.
 */
import type { ByteOutput } from "#wire/http/byte-output.ts";
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE } from "#wire/http/names.ts";
import type { BodyReceiver, RequestHandler, RequestHead, ResponseHead, ServerStream, StreamFailure } from "#wire/http/stream.ts";
import { BodyReader } from "./body-reader.ts";
import { BodyWriter } from "./body-writer.ts";
import { type Framing, NO_BODY, requestFraming } from "./framing.ts";
import { type HeadLimits, HeadScanner } from "./head-scanner.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";
import { neverHasBody, statusLine } from "./reason.ts";
import { connectionOptions, hasOption, removeNominated } from "./connection-options.ts";
import { isAuthority, readTarget, RequestLine } from "./request-line.ts";

export interface ServerSettings {
  readonly limits: HeadLimits;
  readonly scheme: "http" | "https";
  /** HTTP/1.0 requests are answered 426 otherwise, as Envoy does by default. */
  readonly acceptHttp10: boolean;
  readonly forwardTrailers: boolean;
  /** Methods that nobody registered are taken too. */
  readonly anyMethod?: boolean;
  /** `server` of our own refusals; undefined: none. */
  readonly serverName?: string | undefined;
  /** Wall clock, for the `date` of our own refusals. */
  readonly now: () => number;
}

export interface ServerEvents {
  /** A request's head is whole and well-formed. */
  onRequest(head: RequestHead, stream: ServerStream): RequestHandler;
  /** The peer broke the protocol; the answer is already queued. */
  onProblem(problem: Http1Problem): void;
  /** The last response is sent: we half-closed, and wait a moment for the peer to close too. */
  onLingering(): void;
}

const HEAD = 0;
const BODY = 1;
/** Request whole, response not yet. */
const ANSWER = 2;
const RAW = 3;
const CLOSED = 4;

export class Http1ServerConnection implements ServerStream {
  readonly #output: ByteOutput;
  readonly #settings: ServerSettings;
  readonly #events: ServerEvents;
  readonly #line: RequestLine;
  readonly #scanner: HeadScanner;
  readonly #body: BodyReader;
  readonly #writer = new BodyWriter();
  readonly #framing: Framing = { length: 0, problem: undefined };
  readonly #head: RequestHead;
  readonly #receiver: BodyReceiver;
  #headStale = false;
  #state = HEAD;
  #handler: RequestHandler | undefined;
  #ahead: Uint8Array | undefined;
  #pumping = false;
  #pausedByHandler = false;
  #pausedByAhead = false;
  #headSent = false;
  #responseWhole = false;
  #closeAfter = false;
  #draining = false;
  #continueSent = false;
  #blocked = false;

  constructor(output: ByteOutput, settings: ServerSettings, events: ServerEvents) {
    this.#output = output;
    this.#settings = settings;
    this.#events = events;
    this.#line = new RequestLine(settings.anyMethod);
    this.#scanner = new HeadScanner(settings.limits, this.#line.read);
    this.#body = new BodyReader(settings.limits);
    const headers = this.#scanner.block;
    this.#head = {
      method: "",
      path: "",
      authority: "",
      scheme: settings.scheme,
      version: 11,
      headers,
      upgrade: undefined,
      hasBody: false,
      expectsContinue: false,
      receivedPath: undefined,
    };
    this.#receiver = {
      onBody: (bytes, start, end) => this.#handler?.onBody(bytes, start, end),
      onEnd: (trailers) => this.#requestWhole(trailers),
    };
  }

  /** No request is being read or answered. */
  get idle(): boolean {
    return this.#state === HEAD && (this.#headStale || !this.#scanner.begun);
  }

  /** A head is being received. */
  get readingHead(): boolean {
    return this.#state === HEAD && !this.#headStale && this.#scanner.begun;
  }

  get closed(): boolean {
    return this.#state === CLOSED;
  }

  onData(bytes: Uint8Array): void {
    if (this.#state === CLOSED) return;
    if (this.#ahead !== undefined) {
      this.#ahead = joined(this.#ahead, bytes);
      return;
    }
    this.#pump(bytes);
  }

  /** The peer half-closed. As Envoy does, that ends an exchange that is not whole. */
  onEnd(): void {
    if (this.#state === RAW) {
      this.#handler?.onEnd(undefined);
      return;
    }
    if (this.#state === CLOSED) {
      this.#output.destroy();
      return;
    }
    const cut = !this.idle;
    this.#abandon("connection-lost", "downstream_remote_disconnect");
    if (cut) this.#output.destroy();
    else this.#output.end();
  }

  onClose(): void {
    this.#abandon("connection-lost", "downstream_remote_disconnect");
  }

  onDrain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#handler?.onWritable();
  }

  /** Closes when idle, else after the response at hand. */
  drain(): void {
    this.#draining = true;
    if (this.idle) this.#close();
  }

  #abandon(failure: StreamFailure, detail: string): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#state = CLOSED;
    this.#ahead = undefined;
    handler?.onAbort(failure, detail);
  }

  #pump(first: Uint8Array): void {
    let bytes: Uint8Array | undefined = first;
    this.#pumping = true;
    try {
      while (bytes !== undefined) {
        const rest = this.#consume(bytes);
        bytes = undefined;
        if (rest === undefined) break;
        // Only a request that waits for its turn leaves bytes behind.
        if (this.#state === HEAD) bytes = rest;
        else this.#ahead = rest.slice();
      }
    } finally {
      this.#pumping = false;
      this.#scanner.block.takeBack();
    }
    const ahead = this.#ahead !== undefined;
    if (ahead !== this.#pausedByAhead) {
      this.#pausedByAhead = ahead;
      if (ahead) this.#output.pause();
      else if (!this.#pausedByHandler) this.#output.resume();
    }
  }

  /** Reads as far as one exchange allows; returns what is left. */
  #consume(bytes: Uint8Array): Uint8Array | undefined {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === HEAD) {
        if (this.#headStale) {
          this.#scanner.reset();
          this.#headStale = false;
        }
        const behind = this.#scanner.read(bytes, at);
        if (behind < 0) {
          if (this.#scanner.problem !== undefined) this.#refuse(this.#scanner.problem);
          return undefined;
        }
        at = behind;
        this.#startRequest();
      } else if (this.#state === BODY) {
        at = this.#body.read(bytes, at, this.#receiver);
        if (this.#body.problem !== undefined && this.#state === BODY) {
          this.#breakRequest(this.#body.problem);
          return undefined;
        }
      } else if (this.#state === RAW) {
        this.#handler?.onBody(bytes, at, bytes.length);
        return undefined;
      } else if (this.#state === ANSWER) return bytes.subarray(at);
      else return undefined;
    }
    return undefined;
  }

  #startRequest(): void {
    const problem = this.#readHead();
    if (problem !== undefined) {
      this.#refuse(problem);
      return;
    }
    const length = this.#framing.length;
    this.#headSent = this.#responseWhole = this.#continueSent = false;
    this.#state = length === NO_BODY ? ANSWER : BODY;
    if (length !== NO_BODY) this.#body.begin(length);
    const handler = this.#events.onRequest(this.#head, this);
    // The answer may already be whole (a refusal): then nothing is left to hand over.
    if (this.#responseWhole || this.#state === CLOSED) {
      handler.onComplete();
      return;
    }
    this.#handler = handler;
    if (length === NO_BODY) handler.onEnd(undefined);
  }

  #readHead(): Http1Problem | undefined {
    const head = this.#head;
    const headers = this.#scanner.block;
    const version = (head.version = this.#line.version);
    const method = (head.method = this.#line.method);
    head.scheme = this.#settings.scheme;
    const hosts = headers.occurrences(HOST);
    if (hosts > 1) return PROBLEMS.manyHosts;
    const host = hosts === 1 ? (headers.get(HOST) ?? "") : "";
    const target = headers.text.slice(this.#line.targetStart, this.#line.targetEnd);
    head.receivedPath = undefined;
    if (target.charCodeAt(0) === 47 && method !== "CONNECT") {
      head.path = target;
      if (version === 11 && this.#line.targetStart === method.length + 1) head.receivedPath = target;
      head.authority = host;
    } else {
      const meaning = readTarget(method, target);
      if (meaning === undefined) return PROBLEMS.badTarget;
      head.path = meaning.path;
      head.authority = meaning.authority ?? host;
      if (meaning.authority !== undefined && hosts === 1) headers.set(HOST, meaning.authority);
      if (meaning.scheme !== undefined) head.scheme = meaning.scheme;
    }
    if (version === 11 && hosts === 0) return PROBLEMS.noHost;
    if (head.authority !== "" && !isAuthority(head.authority)) return PROBLEMS.badHost;
    requestFraming(headers, version, this.#framing);
    if (this.#framing.problem !== undefined) return this.#framing.problem;
    if (version === 10 && !this.#settings.acceptHttp10) return PROBLEMS.http10;
    head.hasBody = this.#framing.length !== NO_BODY;
    return this.#readConnectionHeaders(head);
  }

  #readConnectionHeaders(head: RequestHead): Http1Problem | undefined {
    const headers = head.headers;
    const connection = connectionOptions(headers);
    this.#closeAfter =
      this.#draining ||
      (head.version === 11 ? connection !== undefined && hasOption(connection, "close") : connection === undefined || !hasOption(connection, "keep-alive"));
    const upgrade = connection !== undefined && hasOption(connection, "upgrade") ? headers.get(UPGRADE) : undefined;
    head.upgrade = upgrade?.toLowerCase();
    // Nobody has to switch to HTTP/2 in the clear: the request stands as it is (RFC 9113 3.1).
    if (head.upgrade === "h2c") {
      head.upgrade = undefined;
      headers.remove(HTTP2_SETTINGS);
    }
    head.expectsContinue = head.hasBody && head.version === 11 && headers.get(EXPECT)?.toLowerCase() === "100-continue";
    return connection === undefined || removeNominated(headers, connection) ? undefined : PROBLEMS.badConnection;
  }

  #refuse(problem: Http1Problem): void {
    this.#events.onProblem(problem);
    this.#writeRefusal(problem);
    this.#close();
  }

  #breakRequest(problem: Http1Problem): void {
    this.#events.onProblem(problem);
    const answered = this.#headSent;
    this.#abandon("protocol-error", problem.detail);
    if (answered) this.#output.destroy();
    else {
      this.#writeRefusal(problem);
      this.#close();
    }
  }

  #writeRefusal(problem: Http1Problem): void {
    const line = statusLine(problem.status);
    const body = line.slice("HTTP/1.1 400 ".length, -2);
    const date = new Date(this.#settings.now()).toUTCString();
    const { serverName } = this.#settings;
    const server = serverName === undefined ? "" : `server: ${serverName}\r\n`;
    this.#output.write(`${line}content-length: ${body.length}\r\ncontent-type: text/plain\r\ndate: ${date}\r\n${server}connection: close\r\n\r\n${body}`);
  }

  #close(): void {
    this.#state = CLOSED;
    this.#output.end();
    this.#events.onLingering();
  }

  #requestWhole(trailers: HeaderBlock | undefined): void {
    if (this.#state !== BODY) return;
    this.#state = ANSWER;
    this.#handler?.onEnd(this.#settings.forwardTrailers ? trailers : undefined);
  }

  sendContinue(): void {
    if (this.#continueSent || this.#headSent || this.#state === CLOSED) return;
    this.#continueSent = true;
    this.#output.write("HTTP/1.1 100 Continue\r\n\r\n");
  }

  sendInterim(head: ResponseHead): void {
    if (this.#headSent || this.#head.version < 11 || this.#state === CLOSED) return;
    this.#writeHead(head, "\r\n");
  }

  sendHead(head: ResponseHead, endStream: boolean): void {
    if (this.#state === CLOSED) return;
    this.#headSent = true;
    const headers = head.headers;
    const status = head.status;
    headers.remove(CONNECTION);
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    if (status === 101 && this.#head.upgrade !== undefined) {
      this.#writeHead(head, "connection: upgrade\r\n\r\n");
      this.#writer.begin(false, false);
      this.#state = RAW;
      this.#resumeAhead();
      return;
    }
    if (status !== 101) headers.remove(UPGRADE);
    // A response before the request is whole ends the connection: the rest of the request would have to be read and thrown away.
    if (this.#state === BODY) this.#closeAfter = true;
    const silent = this.#head.method === "HEAD" || neverHasBody(status);
    let chunked = false;
    let framing = "";
    if (status < 200 || status === 204) headers.remove(CONTENT_LENGTH);
    else if (!headers.has(CONTENT_LENGTH)) {
      if (endStream) {
        // What a GET would have got: its length is not known, so it would come in chunks.
        if (this.#head.method === "HEAD" && this.#head.version === 11 && !neverHasBody(status)) framing = "transfer-encoding: chunked\r\n";
        else if (!silent) framing = "content-length: 0\r\n";
      } else if (this.#head.version === 11) {
        if (status !== 304) framing = "transfer-encoding: chunked\r\n";
        chunked = true;
      } else this.#closeAfter = true;
    }
    if (this.#closeAfter || this.#draining) framing += "connection: close\r\n";
    else if (this.#head.version === 10) framing += "connection: keep-alive\r\n";
    this.#writer.begin(chunked, silent);
    this.#writeHead(head, framing === "" ? "\r\n" : `${framing}\r\n`);
    if (endStream) this.#endResponse();
  }

  /** `rest`: what stands behind the headers, the blank line with it. */
  #writeHead({ status, headers }: ResponseHead, rest: string): void {
    this.#output.write(statusLine(status));
    headers.writeTo(this.#output);
    this.#output.write(rest);
  }

  sendBody(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#state === CLOSED) return true;
    const go = this.#writer.write(this.#output, bytes, start, end);
    if (!go) this.#blocked = true;
    return go;
  }

  sendEnd(trailers: HeaderBlock | undefined): void {
    if (this.#state === CLOSED) return;
    if (this.#state === RAW) {
      this.#abandon("connection-lost", "");
      this.#output.end();
      return;
    }
    this.#writer.end(this.#output, this.#settings.forwardTrailers ? trailers : undefined);
    this.#endResponse();
  }

  #endResponse(): void {
    this.#responseWhole = true;
    const handler = this.#handler;
    this.#handler = undefined;
    if (this.#closeAfter || this.#draining || this.#state === BODY) this.#close();
    else {
      this.#state = HEAD;
      // The handler may still read the head it was given, until the next one begins.
      this.#headStale = true;
    }
    handler?.onComplete();
    this.#resumeAhead();
  }

  #resumeAhead(): void {
    if (this.#pumping || this.#ahead === undefined) return;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    this.#pump(ahead);
  }

  abort(): void {
    this.#handler = undefined;
    this.#state = CLOSED;
    this.#output.destroy();
  }

  pauseRequest(): void {
    this.#pausedByHandler = true;
    this.#output.pause();
  }

  resumeRequest(): void {
    this.#pausedByHandler = false;
    if (!this.#pausedByAhead) this.#output.resume();
  }

  closeAfter(): void {
    this.#closeAfter = true;
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
