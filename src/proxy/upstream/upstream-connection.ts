/** One HTTP/1.1 connection to an endpoint: the host's connection below, the codec above, the pool beside. */
import type { Connection, ConnectionHandler, NetError } from "#host/net.ts";
import { Http1ClientConnection } from "#wire/http1/client-connection.ts";
import type { Endpoint } from "./endpoint.ts";

const LIMITS = { maxBytes: 60 * 1024, maxHeaders: 100 };

export class UpstreamConnection implements ConnectionHandler {
  readonly endpoint: Endpoint;
  readonly connection: Connection;
  readonly codec: Http1ClientConnection;
  connected = false;
  requests = 0;
  idleSinceMs = 0;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    this.connection = endpoint.open(this);
    this.codec = new Http1ClientConnection(this.connection, { limits: LIMITS, forwardTrailers: true }, this);
  }

  onConnect(): void {
    this.connected = true;
    this.endpoint.connected(this);
  }

  onData(bytes: Uint8Array): void {
    this.endpoint.cluster.stats.rxBytes.value += bytes.length;
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
      this.endpoint.connectFailed(this, error);
      return;
    }
    this.codec.onClose();
    this.endpoint.closed(this);
  }

  /** From the codec: the exchange is over. */
  onIdle(reusable: boolean): void {
    if (reusable) this.endpoint.released(this);
  }
}
