/**
 * A codec is a connection that carries streams: one request with its response. Filters, routing and balancing see only
 * what is here, so a codec that carries many streams at a time changes none of them; HTTP/1.1 carries one at a time.
 *
 * Bytes are borrowed (valid during the call). There are no promises: everything is told by a call.
 */
import type { HeaderBlock } from "./header-block.ts";

export interface RequestHead {
  method: string;
  /** Path with query, or "*", or host:port for CONNECT. */
  path: string;
  /** Host header or authority of the absolute form; "" when there is none. */
  authority: string;
  /** "http" or "https"; as the connection is, unless the absolute form said otherwise. */
  scheme: string;
  /** 11 or 10 (HTTP/1.1, HTTP/1.0). */
  version: number;
  readonly headers: HeaderBlock;
  /** Lower-case protocol of a wanted upgrade ("websocket"), undefined when there is none. */
  upgrade: string | undefined;
  /** A body follows (its length may turn out to be 0 when chunked). */
  hasBody: boolean;
  /** The client waits for 100 Continue. */
  expectsContinue: boolean;
  /** `path` as the request line has it, when that line can be sent on as it came: the first of `headers.text`, HTTP/1.1, origin form. */
  receivedPath: string | undefined;
}

export interface ResponseHead {
  status: number;
  readonly headers: HeaderBlock;
  /** A body follows. */
  hasBody: boolean;
}

/** Why a stream ended before it was whole. */
export type StreamFailure = "connection-lost" | "protocol-error" | "reset" | "timeout";

/** What receives one direction of a stream. */
export interface BodyReceiver {
  onBody(bytes: Uint8Array, start: number, end: number): void;
  /** Message is whole. */
  onEnd(trailers: HeaderBlock | undefined): void;
}

/** Receives a request: made when its head is whole. */
export interface RequestHandler extends BodyReceiver {
  /** Client gone or broke the protocol before the exchange was whole. Last call. */
  onAbort(failure: StreamFailure, detail: string): void;
  /** What was written has left; called after `write` returned false. */
  onWritable(): void;
  /** Both directions are whole and the response is written. Last call. */
  onComplete(): void;
}

/** The answering side of a stream, used by a RequestHandler. */
export interface ServerStream {
  /** Interim 100 Continue. */
  sendContinue(): void;
  /** Interim 1xx head of the upstream other than 100 and 101. */
  sendInterim(head: ResponseHead): void;
  sendHead(head: ResponseHead, endStream: boolean): void;
  /** False: stop until onWritable. Copies or writes the bytes before it returns. */
  sendBody(bytes: Uint8Array, start: number, end: number): boolean;
  sendEnd(trailers: HeaderBlock | undefined): void;
  /** The response cannot be finished. */
  abort(): void;
  pauseRequest(): void;
  resumeRequest(): void;
  /** After this response the connection is closed (drain). */
  closeAfter(): void;
}

/** Receives a response. */
export interface ResponseHandler extends BodyReceiver {
  /** Also for 101: then both directions carry raw bytes. */
  onHead(head: ResponseHead): void;
  onInterim(head: ResponseHead): void;
  /** No whole response will come. Last call. */
  onFailure(failure: StreamFailure, detail: string): void;
  onWritable(): void;
}

/** The asking side of a stream. */
export interface ClientStream {
  sendBody(bytes: Uint8Array, start: number, end: number): boolean;
  sendEnd(trailers: HeaderBlock | undefined): void;
  /** Gives up: no further call comes. */
  cancel(): void;
  pauseResponse(): void;
  resumeResponse(): void;
}
