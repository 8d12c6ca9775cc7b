/** One HTTP/1.1 connection to an endpoint: the host's connection below, the codec above, the pool beside. */
import type { Connection, ConnectionHandler, NetError } from "#host/net.ts";
import type { ClientStream, RequestHead, ResponseHandler } from "#wire/http/stream.ts";
import { Http1ClientConnection } from "#wire/http1/client-connection.ts";

const LIMITS = { maxBytes: 60 * 1024, maxHeaders: 100 };

/** The pool that a connection belongs to: an endpoint. */
export interface ConnectionOwner {
  open(handler: ConnectionHandler): Connection;
  connected(connection: UpstreamConnection): void;
  connectFailed(connection: UpstreamConnection, error: NetError | undefined): void;
  /** It can take a request. */
  released(connection: UpstreamConnection): void;
  closed(connection: UpstreamConnection, end: ConnectionEnd): void;
  received(bytes: number): void;
  sent(bytes: number): void;
  /** The answer was the connection's last. */
  closing(): void;
  nowMs(): number;
}

export interface ConnectionEnd {
  readonly byPeer: boolean;
  /** A request was under way. */
  readonly active: boolean;
  readonly durationMs: number;
  readonly requests: number | undefined;
}

export class UpstreamConnection implements ConnectionHandler {
  readonly #owner: ConnectionOwner;
  readonly connection: Connection;
  readonly codec: Http1ClientConnection;
  connected = false;
  requests = 0;
  idleSinceMs = 0;
  readonly startedAtMs: number;
  #endedByPeer = false;
  #retired = false;
  #busy = false;
  #countedBytes = 0;

  constructor(owner: ConnectionOwner) {
    this.#owner = owner;
    this.startedAtMs = owner.nowMs();
    this.connection = owner.open(this);
    this.codec = new Http1ClientConnection(this.connection, { limits: LIMITS, forwardTrailers: true }, this);
  }

  onConnect(): void {
    this.connected = true;
    this.#owner.connected(this);
  }

  onData(bytes: Uint8Array): void {
    this.#owner.received(bytes.length);
    this.codec.onData(bytes);
  }

  onEnd(): void {
    if (!this.codec.closed) this.#endedByPeer = true;
    this.codec.onEnd();
  }

  onDrain(): void {
    this.codec.onDrain();
  }

  onClose(error?: NetError): void {
    this.#countSent();
    if (!this.connected) {
      this.#owner.connectFailed(this, error);
      return;
    }
    if (!this.codec.closed && !this.#retired) this.#endedByPeer = true;
    this.codec.onClose();
    const durationMs = this.#owner.nowMs() - this.startedAtMs;
    this.#owner.closed(this, { byPeer: this.#endedByPeer, active: this.#busy, durationMs, requests: this.requests });
  }

  request(head: RequestHead, endStream: boolean, handler: ResponseHandler): ClientStream {
    this.requests++;
    this.#busy = true;
    return this.codec.request(head, endStream, handler);
  }

  /** From the codec: the exchange is over. */
  onIdle(reusable: boolean, whole = false): void {
    this.#countSent();
    if (whole) this.#busy = false;
    if (reusable) this.#owner.released(this);
    else if (whole) this.#owner.closing();
  }

  /** It was idle for too long, or has no place any more. */
  retire(): void {
    this.#retired = true;
    this.connection.destroy();
  }

  #countSent(): void {
    this.#owner.sent(this.connection.sentBytes - this.#countedBytes);
    this.#countedBytes = this.connection.sentBytes;
  }
}
