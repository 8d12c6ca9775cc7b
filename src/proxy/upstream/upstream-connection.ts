/** One HTTP/1.1 connection to an endpoint: the host's connection below, the codec above, the pool beside. */
import type { Connection, ConnectionHandler, NetError } from "#host/net.ts";
import { Http1ClientConnection } from "#wire/http1/client-connection.ts";

const LIMITS = { maxBytes: 60 * 1024, maxHeaders: 100 };

/** The pool that a connection belongs to: an endpoint. */
export interface ConnectionOwner {
  open(handler: ConnectionHandler): Connection;
  connected(connection: UpstreamConnection): void;
  connectFailed(connection: UpstreamConnection, error: NetError | undefined): void;
  /** It can take a request. */
  released(connection: UpstreamConnection): void;
  closed(connection: UpstreamConnection): void;
  received(bytes: number): void;
}

export class UpstreamConnection implements ConnectionHandler {
  readonly #owner: ConnectionOwner;
  readonly connection: Connection;
  readonly codec: Http1ClientConnection;
  connected = false;
  requests = 0;
  idleSinceMs = 0;

  constructor(owner: ConnectionOwner) {
    this.#owner = owner;
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
    this.codec.onEnd();
  }

  onDrain(): void {
    this.codec.onDrain();
  }

  onClose(error?: NetError): void {
    if (!this.connected) {
      this.#owner.connectFailed(this, error);
      return;
    }
    this.codec.onClose();
    this.#owner.closed(this);
  }

  /** From the codec: the exchange is over. */
  onIdle(reusable: boolean): void {
    if (reusable) this.#owner.released(this);
  }
}
