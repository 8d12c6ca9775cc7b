/**
 * The client side of an HTTP/1.1 connection: one request with its response at a time. `state` tells a pool whether the
 * connection can carry the next one. Whatever a server sends that no request asked for ends the connection.
 */
import type { ByteOutput } from "#wire/http/byte-output.ts";
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { CONNECTION, CONTENT_LENGTH, EXPECT, HOST, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE } from "#wire/http/names.ts";
import type { BodyReceiver, ClientStream, RequestHead, ResponseHandler, ResponseHead, StreamFailure } from "#wire/http/stream.ts";
import { BodyReader } from "./body-reader.ts";
import { BodyWriter } from "./body-writer.ts";
import { connectionOptions, hasOption } from "./connection-options.ts";
import { PROBLEMS } from "./problem.ts";
import { type Framing, NO_BODY, responseFraming } from "./framing.ts";
import { type HeadLimits, HeadScanner } from "./head-scanner.ts";
import { neverHasBody } from "./reason.ts";
import { StatusLine } from "./status-line.ts";

export interface ClientSettings {
  readonly limits: HeadLimits;
  readonly forwardTrailers: boolean;
}

export interface ClientEvents {
  /** The exchange is over; `reusable`: the next request may be sent. */
  onIdle(reusable: boolean, whole?: boolean): void;
}

const IDLE = 0;
const HEAD = 1;
const BODY = 2;
const RAW = 3;
const CLOSED = 4;

export class Http1ClientConnection implements ClientStream {
  readonly #output: ByteOutput;
  readonly #events: ClientEvents;
  readonly #settings: ClientSettings;
  readonly #line = new StatusLine();
  readonly #scanner: HeadScanner;
  readonly #body: BodyReader;
  readonly #writer = new BodyWriter();
  readonly #framing: Framing = { length: 0, problem: undefined };
  readonly #head: ResponseHead;
  readonly #receiver: BodyReceiver;
  #state = IDLE;
  #handler: ResponseHandler | undefined;
  #method = "";
  #upgrading = false;
  #requestWhole = true;
  #keepAlive = true;
  #blocked = false;

  constructor(output: ByteOutput, settings: ClientSettings, events: ClientEvents) {
    this.#output = output;
    this.#settings = settings;
    this.#events = events;
    this.#scanner = new HeadScanner(settings.limits, this.#line.read);
    this.#body = new BodyReader(settings.limits);
    this.#head = { status: 0, headers: this.#scanner.block, hasBody: false };
    this.#receiver = {
      onBody: (bytes, start, end) => this.#handler?.onBody(bytes, start, end),
      onEnd: (trailers) => this.#responseWhole(trailers),
    };
  }

  get closed(): boolean {
    return this.#state === CLOSED;
  }

  /** The exchange at hand can be given to this connection: nothing is under way. */
  get idle(): boolean {
    return this.#state === IDLE;
  }

  /** Sends a request's head. `endStream`: it has no body. */
  request(head: RequestHead, endStream: boolean, handler: ResponseHandler): ClientStream {
    const headers = head.headers;
    this.#handler = handler;
    this.#method = head.method;
    this.#requestWhole = endStream;
    this.#keepAlive = true;
    this.#upgrading = head.upgrade !== undefined;
    this.#scanner.reset();
    this.#state = HEAD;
    headers.remove(CONNECTION);
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    keepOnlyTrailers(headers);
    if (headers.get(EXPECT)?.toLowerCase() === "100-continue") headers.remove(EXPECT);
    if (!this.#upgrading) headers.remove(UPGRADE);
    let framing = this.#upgrading ? "connection: upgrade\r\n" : "";
    let chunked = false;
    if (!headers.has(CONTENT_LENGTH)) {
      if (!endStream) {
        framing += "transfer-encoding: chunked\r\n";
        chunked = true;
      } else if (!BODYLESS.has(head.method)) framing += "content-length: 0\r\n";
    }
    this.#writer.begin(chunked, false);
    const hasHost = headers.has(HOST);
    if (hasHost && head.path === head.receivedPath) headers.writeTo(this.#output, 0);
    else {
      this.#output.write(`${head.method} ${head.path} HTTP/1.1\r\n`);
      if (!hasHost) this.#output.write(`host: ${head.authority}\r\n`);
      headers.writeTo(this.#output);
    }
    this.#output.write(framing === "" ? "\r\n" : `${framing}\r\n`);
    return this;
  }

  sendBody(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#state === CLOSED) return true;
    const go = this.#writer.write(this.#output, bytes, start, end);
    if (!go) this.#blocked = true;
    return go;
  }

  sendEnd(trailers: HeaderBlock | undefined): void {
    if (this.#state === CLOSED || this.#requestWhole) return;
    this.#requestWhole = true;
    if (this.#state === RAW) this.#output.end();
    else this.#writer.end(this.#output, this.#settings.forwardTrailers ? trailers : undefined);
  }

  /** Gives up the exchange: the connection cannot be used again. */
  cancel(): void {
    if (this.#state === IDLE || this.#state === CLOSED) return;
    this.#handler = undefined;
    this.#state = CLOSED;
    this.#output.destroy();
    this.#events.onIdle(false);
  }

  pauseResponse(): void {
    this.#output.pause();
  }

  resumeResponse(): void {
    this.#output.resume();
  }

  onDrain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#handler?.onWritable();
  }

  onData(bytes: Uint8Array): void {
    try {
      this.#read(bytes);
    } finally {
      this.#scanner.block.takeBack();
    }
  }

  #read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === HEAD) {
        const behind = this.#scanner.read(bytes, at);
        if (behind < 0) {
          if (this.#scanner.problem !== undefined) this.#fail("protocol-error", this.#scanner.problem.text);
          return;
        }
        at = behind;
        this.#readHead();
      } else if (this.#state === BODY) {
        at = this.#body.read(bytes, at, this.#receiver);
        if (this.#body.problem !== undefined) this.#fail("protocol-error", this.#body.problem.text);
      } else if (this.#state === RAW) {
        this.#handler?.onBody(bytes, at, bytes.length);
        return;
      } else {
        // Bytes that no request asked for: the next response would not be the next request's.
        if (this.#state === IDLE) {
          this.#state = CLOSED;
          this.#output.destroy();
          this.#events.onIdle(false);
        }
        return;
      }
    }
  }

  /** The server half-closed. */
  onEnd(): void {
    if (this.#state === BODY && this.#body.untilClose) {
      this.#keepAlive = false;
      this.#responseWhole(undefined);
    } else if (this.#state === RAW) {
      const handler = this.#handler;
      this.#handler = undefined;
      this.#state = CLOSED;
      handler?.onEnd(undefined);
      this.#output.end();
      this.#events.onIdle(false);
    } else if (this.#state === BODY) this.#fail("protocol-error", PROBLEMS.cutShort.text);
    else this.#lost();
  }

  onClose(): void {
    this.#lost();
  }

  #lost(): void {
    if (this.#state === IDLE) {
      this.#state = CLOSED;
      this.#output.destroy();
      this.#events.onIdle(false);
    } else if (this.#state !== CLOSED) this.#fail("connection-lost", "");
  }

  #fail(failure: StreamFailure, detail: string): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#state = CLOSED;
    this.#output.destroy();
    this.#events.onIdle(false);
    handler?.onFailure(failure, detail);
  }

  #readHead(): void {
    const head = this.#head;
    const headers = head.headers;
    const status = (head.status = this.#line.status);
    if (status < 200 && !(status === 101 && this.#upgrading)) {
      if (status === 101) return this.#fail("protocol-error", "101 without an upgrade having been asked for");
      if (status !== 100) this.#handler?.onInterim(head);
      this.#scanner.reset();
      return;
    }
    if (status === 101) {
      this.#state = RAW;
      this.#requestWhole = false;
      head.hasBody = true;
      this.#handler?.onHead(head);
      return;
    }
    const bodyless = this.#method === "HEAD" || neverHasBody(status);
    responseFraming(headers, this.#line.version, bodyless, this.#framing);
    if (this.#framing.problem !== undefined) return this.#fail("protocol-error", this.#framing.problem.text);
    const connection = connectionOptions(headers);
    this.#keepAlive =
      this.#line.version === 11 ? connection === undefined || !hasOption(connection, "close") : connection !== undefined && hasOption(connection, "keep-alive");
    const length = this.#framing.length;
    head.hasBody = length !== NO_BODY;
    if (length !== NO_BODY) {
      this.#state = BODY;
      this.#body.begin(length);
    }
    this.#handler?.onHead(head);
    if (length === NO_BODY && this.#state === HEAD) this.#responseWhole(undefined);
  }

  #responseWhole(trailers: HeaderBlock | undefined): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    this.#handler = undefined;
    // A response that came before the request was whole leaves the rest of the request unsent.
    const reusable = this.#keepAlive && this.#requestWhole;
    this.#state = reusable ? IDLE : CLOSED;
    if (!reusable) this.#output.destroy();
    handler.onEnd(this.#settings.forwardTrailers ? trailers : undefined);
    this.#events.onIdle(reusable, true);
  }
}

/** Methods whose requests mean nothing by a body; the others say that theirs is empty (RFC 9110 8.6). */
const BODYLESS = new Set(["GET", "HEAD", "DELETE", "CONNECT", "TRACE"]);

/** Of what TE asks for, only trailers concerns more than this hop (RFC 9110 10.1.4). */
function keepOnlyTrailers(headers: HeaderBlock): void {
  const te = headers.get(TE);
  if (te === undefined || te === "trailers") return;
  if (hasOption(te.toLowerCase(), "trailers")) headers.set(TE, "trailers");
  else headers.remove(TE);
}
