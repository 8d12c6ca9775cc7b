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
import { lookEveryMs, timedOut, timeLeftMs } from "./stream-timeouts.ts";
import { brokenOffRequest, refusedRequest } from "./refused-request.ts";

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
  /** Of the exchange at hand. */
  readonly #timeout = new WheelEntry(() => this.#exchange?.timedOut());
  #waitsFor: "nothing" | "request" | "head" | "close" = "nothing";
  #requests = 0;
  #lastActiveMs: number;
  readonly #startedAtMs: number;
  #exchange: Exchange | undefined;
  #closedByPeer = false;
  #wasActive = false;
  #hasSpoken = false;

  constructor(machine: ProxyMachine, holder: HttpHolder, downstream: Downstream, open: OpenConnections) {
    this.#machine = machine;
    const manager = holder.current;
    this.#holder = holder;
    this.#manager = manager;
    this.#downstream = downstream;
    this.#connection = downstream.connection;
    this.#open = open;
    this.#lastActiveMs = this.#startedAtMs = machine.turn.ms;
    this.#deadline = new WheelEntry(() => this.#expired());
    const settings = {
      limits: manager.limits,
      scheme: downstream.tls === undefined ? "http" : "https",
      acceptHttp10: manager.acceptHttp10,
      anyMethod: manager.anyMethod,
      forwardTrailers: manager.forwardTrailers,
      serverName: manager.serverHeader === "pass-through" ? undefined : manager.serverName,
      now: () => machine.clock.now(),
    } as const;
    this.#codec = new Http1ServerConnection(this.#connection, settings, this);
    const { stats } = manager;
    stats.cxTotal.value++;
    stats.cxActive.value++;
    if (downstream.tls !== undefined) {
      stats.cxSslTotal.value++;
      stats.cxSslActive.value++;
    }
    open.add(this);
    this.#await();
  }

  onData(bytes: Uint8Array): void {
    if (!this.#hasSpoken) this.#speaks();
    this.#manager.stats.rxBytes.value += bytes.length;
    this.#downstream.bytesReceived += bytes.length;
    this.#codec.onData(bytes);
    this.#lastActiveMs = this.#machine.turn.ms;
    if (this.#codec.readingHead && this.#waitsFor === "request") this.#await();
  }

  /** What it speaks is known by the first bytes. */
  #speaks(): void {
    this.#hasSpoken = true;
    this.#manager.stats.cxHttp1Total.value++;
    this.#manager.stats.cxHttp1Active.value++;
  }

  onEnd(): void {
    if (!this.#codec.closed) this.#leaves();
    this.#codec.onEnd();
  }

  onDrain(): void {
    this.#codec.onDrain();
  }

  onClose(): void {
    this.#machine.wheel.cancel(this.#deadline);
    const { stats } = this.#manager;
    stats.cxActive.value--;
    if (this.#hasSpoken) stats.cxHttp1Active.value--;
    if (this.#downstream.tls !== undefined) stats.cxSslActive.value--;
    stats.txBytes.value += this.#downstream.takeSentBytes();
    if (!this.#codec.closed && !this.#closedByPeer) this.#leaves();
    const active = this.#wasActive || this.#exchange?.done === false;
    stats.closed({ byPeer: this.#closedByPeer, active, durationMs: this.#machine.turn.ms - this.#startedAtMs });
    this.#open.delete(this);
    this.#codec.onClose();
    this.#downstream.end();
  }

  /** The peer goes, maybe in the middle of something: a head that never came to its end counts as a request, too. */
  #leaves(): void {
    const { stats } = this.#manager;
    this.#closedByPeer = true;
    this.#wasActive = this.#exchange?.done === false || this.#codec.readingHead;
    if (!this.#codec.readingHead) return;
    stats.rqTotal.value++;
    stats.rqHttp1Total.value++;
    stats.rqRxReset.value++;
    if (this.#manager.accessLogs.any) this.#manager.accessLogs.write(brokenOffRequest(this.#machine, this.#downstream));
  }

  /** Closes when idle, else after the exchange at hand. */
  drain(): void {
    this.#codec.drain();
  }

  close(): void {
    this.#codec.drain();
    this.#connection.destroy();
  }

  onRequest(head: RequestHead, stream: ServerStream): RequestHandler {
    this.#requests++;
    const limit = this.#manager.maxRequestsPerConnection;
    if ((limit > 0 && this.#requests >= limit) || this.#holder.gone) stream.closeAfter();
    const timeout = this.#timeout;
    const exchange = new Exchange({ machine: this.#machine, manager: this.#holder.current, downstream: this.#downstream, head, stream, timeout });
    this.#exchange = exchange;
    exchange.start();
    const { idleTimeoutMs } = exchange;
    if (idleTimeoutMs !== undefined && idleTimeoutMs > 0 && !exchange.done) this.#wait("request", Math.min(idleTimeoutMs, lookEveryMs(this.#manager)));
    return exchange;
  }

  onProblem(problem: Http1Problem): void {
    const { stats } = this.#manager;
    stats.cxProtocolError.value++;
    // A request under way is told by its codec, and counts for itself.
    if (this.#exchange?.done === false) return;
    stats.rqTotal.value++;
    stats.rqHttp1Total.value++;
    stats.rqRxReset.value++;
    stats.rqResponseBeforeWhole.value++;
    stats.completed(problem.status, 0);
    if (this.#manager.accessLogs.any) this.#manager.accessLogs.write(refusedRequest(this.#machine, this.#downstream, problem));
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
    const { headersTimeoutMs } = this.#manager;
    const lookMs = lookEveryMs(this.#manager);
    if (this.#codec.readingHead && headersTimeoutMs > 0) this.#wait("head", headersTimeoutMs);
    else if (lookMs < Infinity) this.#wait("request", lookMs);
  }

  #wait(what: "request" | "head" | "close", ms: number): void {
    this.#waitsFor = what;
    if (ms > 0) this.#machine.wheel.set(this.#deadline, ms);
    else if (what === "close") this.#connection.destroy();
  }

  #expired(): void {
    const { idleTimeoutMs, stats } = this.#manager;
    if (this.#waitsFor === "close") {
      stats.cxDelayedCloseTimeout.value++;
      return this.#connection.destroy();
    }
    if (this.#waitsFor === "head" && this.#codec.readingHead) {
      stats.rqHeaderTimeout.value++;
      return this.#connection.destroy();
    }
    const nowMs = this.#machine.turn.ms;
    const exchange = this.#exchange;
    if (exchange?.done === false) {
      const leftMs = timeLeftMs(exchange, this.#manager, nowMs);
      if (leftMs > 0) return this.#wait("request", Math.min(leftMs, lookEveryMs(this.#manager)));
      const answer = timedOut(exchange, this.#manager, nowMs);
      stats[answer.stat].value++;
      return exchange.expire(answer);
    }
    const leftMs = Math.min(this.#codec.idle && idleTimeoutMs > 0 ? this.#lastActiveMs + idleTimeoutMs - nowMs : Infinity, lookEveryMs(this.#manager));
    if (leftMs > 0) return this.#wait("request", leftMs);
    stats.cxIdleTimeout.value++;
    this.#codec.drain();
  }
}
