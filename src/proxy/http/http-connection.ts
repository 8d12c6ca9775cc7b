/** A downstream HTTP connection: the host's connection below, the codec in the middle, an Exchange per request above. */
import type { Connection, ConnectionHandler } from "#host/net.ts";
import type { Http1Problem } from "#wire/http1/problem.ts";
import { Http1ServerConnection } from "#wire/http1/server-connection.ts";
import type { RequestHandler, RequestHead, ServerStream } from "#wire/http/stream.ts";
import type { Downstream } from "#proxy/listen/downstream.ts";
import type { OpenConnections } from "#proxy/listen/open-connections.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import { WheelEntry } from "#proxy/timer-wheel.ts";
import type { HttpHolder } from "#proxy/listen/compile-listener.ts";
import type { ConnectionManager } from "./connection-manager.ts";
import { Exchange } from "./exchange.ts";

export class HttpConnection implements ConnectionHandler {
  readonly #machine: ProxyMachine;
  readonly #holder: HttpHolder;
  /** As it was when the connection began: its limits and timeouts stay. */
  readonly #manager: ConnectionManager;
  readonly #downstream: Downstream;
  readonly #connection: Connection;
  readonly #codec: Http1ServerConnection;
  readonly #open: OpenConnections;
  readonly #deadline: WheelEntry;
  #waitsFor: "nothing" | "request" | "head" | "close" = "nothing";
  #requests = 0;
  #lastActiveMs: number;

  constructor(machine: ProxyMachine, holder: HttpHolder, downstream: Downstream, open: OpenConnections) {
    this.#machine = machine;
    const manager = holder.current;
    this.#holder = holder;
    this.#manager = manager;
    this.#downstream = downstream;
    this.#connection = downstream.connection;
    this.#open = open;
    this.#lastActiveMs = machine.turn.ms;
    this.#deadline = new WheelEntry(() => this.#expired());
    const settings = {
      limits: manager.limits,
      scheme: downstream.tls === undefined ? "http" : "https",
      acceptHttp10: manager.acceptHttp10,
      forwardTrailers: manager.forwardTrailers,
      now: () => machine.clock.now(),
    } as const;
    this.#codec = new Http1ServerConnection(this.#connection, settings, this);
    const { stats } = manager;
    stats.cxTotal.value++;
    stats.cxHttp1Total.value++;
    stats.cxActive.value++;
    stats.cxHttp1Active.value++;
    open.add(this);
    this.#await();
  }

  onData(bytes: Uint8Array): void {
    this.#manager.stats.rxBytes.value += bytes.length;
    this.#codec.onData(bytes);
    this.#lastActiveMs = this.#machine.turn.ms;
    if (this.#codec.readingHead && this.#waitsFor === "request") this.#await();
  }

  onEnd(): void {
    this.#codec.onEnd();
  }

  onDrain(): void {
    this.#codec.onDrain();
  }

  onClose(): void {
    this.#machine.wheel.cancel(this.#deadline);
    const { stats } = this.#manager;
    stats.cxActive.value--;
    stats.cxHttp1Active.value--;
    stats.cxDestroy.value++;
    this.#open.delete(this);
    this.#codec.onClose();
  }

  /** Closes when idle, else after the exchange at hand. */
  drain(): void {
    this.#codec.drain();
  }

  close(): void {
    this.#connection.destroy();
  }

  onRequest(head: RequestHead, stream: ServerStream): RequestHandler {
    this.#requests++;
    const limit = this.#manager.maxRequestsPerConnection;
    if ((limit > 0 && this.#requests >= limit) || this.#holder.gone) stream.closeAfter();
    const exchange = new Exchange({ machine: this.#machine, manager: this.#holder.current, downstream: this.#downstream, head, stream });
    exchange.start();
    return exchange;
  }

  onProblem(problem: Http1Problem): void {
    this.#manager.stats.cxProtocolError.value++;
    this.#manager.stats.rqTotal.value++;
    this.#manager.stats.completed(problem.status, 0);
  }

  onLingering(): void {
    this.#wait("close", this.#manager.delayedCloseMs);
  }

  /**
   * The deadline is not moved by each request (it would be set and cancelled for each): when it comes, the connection
   * looks at when it was last active, and waits for the rest.
   */
  #await(): void {
    if (this.#codec.closed) return;
    const { idleTimeoutMs, headersTimeoutMs } = this.#manager;
    if (this.#codec.readingHead && headersTimeoutMs > 0) this.#wait("head", headersTimeoutMs);
    else if (idleTimeoutMs > 0) this.#wait("request", idleTimeoutMs);
  }

  #wait(what: "request" | "head" | "close", ms: number): void {
    this.#waitsFor = what;
    if (ms > 0) this.#machine.wheel.set(this.#deadline, ms);
    else if (what === "close") this.#connection.destroy();
  }

  #expired(): void {
    if (this.#waitsFor === "close") return this.#connection.destroy();
    if (this.#waitsFor === "head" && this.#codec.readingHead) return this.#connection.destroy();
    const { idleTimeoutMs, stats } = this.#manager;
    const idleMs = this.#machine.turn.ms - this.#lastActiveMs;
    if (!this.#codec.idle || idleMs < idleTimeoutMs) return this.#wait("request", this.#codec.idle ? idleTimeoutMs - idleMs : idleTimeoutMs);
    stats.cxIdleTimeout.value++;
    this.#codec.drain();
  }
}
