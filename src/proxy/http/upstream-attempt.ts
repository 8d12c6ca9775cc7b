/** One try of an exchange at one endpoint: waits for a connection, sends, receives. After `cancel` it says nothing more. */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import type { ClientStream, RequestHead, ResponseHandler, ResponseHead, ServerStream, StreamFailure } from "#wire/http/stream.ts";
import { addressText } from "#proxy/listen/downstream.ts";
import { WheelEntry } from "#proxy/timer-wheel.ts";
import type { ConnectFailure, Endpoint, EndpointCluster, PoolWaiter } from "#proxy/upstream/endpoint.ts";
import type { UpstreamConnection } from "#proxy/upstream/upstream-connection.ts";
import type { ProxyMachine } from "#proxy/machine.ts";

/** The exchange that tries. Each call names the attempt, though only the one at hand still speaks. */
export interface AttemptOwner {
  readonly machine: ProxyMachine;
  readonly head: RequestHead;
  readonly stream: ServerStream;
  attached(attempt: UpstreamAttempt): void;
  noConnection(attempt: UpstreamAttempt, failure: ConnectFailure): void;
  upstreamInterim(head: ResponseHead): void;
  upstreamHead(attempt: UpstreamAttempt, head: ResponseHead): void;
  upstreamBody(attempt: UpstreamAttempt, bytes: Uint8Array, start: number, end: number): void;
  upstreamEnd(trailers: HeaderBlock | undefined): void;
  upstreamFailed(attempt: UpstreamAttempt, failure: StreamFailure, detail: string): void;
  upstreamWritable(): void;
  tryTimedOut(attempt: UpstreamAttempt): void;
}

export class UpstreamAttempt implements PoolWaiter, ResponseHandler {
  readonly #exchange: AttemptOwner;
  readonly endpoint: Endpoint;
  readonly cluster: EndpointCluster;
  #stream: ClientStream | undefined;
  #connection: UpstreamConnection | undefined;
  #over = false;
  #counted = false;
  #answered = false;
  #startedAt = 0;
  readonly #perTryTimeoutMs: number | undefined;
  #timeout: WheelEntry | undefined;

  constructor(exchange: AttemptOwner, endpoint: Endpoint, perTryTimeoutMs: number | undefined) {
    this.#exchange = exchange;
    this.endpoint = endpoint;
    this.cluster = endpoint.cluster;
    this.#perTryTimeoutMs = perTryTimeoutMs;
  }

  get attached(): boolean {
    return this.#stream !== undefined;
  }

  get localAddress(): string | undefined {
    return addressText(this.#connection?.connection.facts.local);
  }

  get peerUri(): string | undefined {
    return this.#connection?.connection.facts.tls?.peerUris[0];
  }

  elapsedMs(): number {
    return this.#exchange.machine.turn.ms - this.#startedAt;
  }

  onConnection(connection: UpstreamConnection): void {
    const exchange = this.#exchange;
    const { stats } = this.cluster;
    this.#connection = connection;
    this.#counted = true;
    this.endpoint.active++;
    this.endpoint.rqTotal++;
    stats.rqTotal.value++;
    stats.rqActive.value++;
    this.#startedAt = exchange.machine.turn.ms;
    if (this.#perTryTimeoutMs !== undefined) {
      this.#timeout = new WheelEntry(() => exchange.tryTimedOut(this));
      exchange.machine.wheel.set(this.#timeout, this.#perTryTimeoutMs);
    }
    const { head } = exchange;
    this.#stream = connection.request(head, !head.hasBody, this);
    exchange.attached(this);
  }

  onNoConnection(failure: ConnectFailure): void {
    if (this.#over) return;
    this.#end();
    if (failure.kind !== "overflow") this.endpoint.rqError++;
    this.#exchange.noConnection(this, failure);
  }

  sendBody(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#stream?.sendBody(bytes, start, end) ?? true;
  }

  sendEnd(trailers: HeaderBlock | undefined): void {
    this.#stream?.sendEnd(trailers);
  }

  pause(): void {
    this.#stream?.pauseResponse();
  }

  resume(): void {
    if (!this.#over) this.#stream?.resumeResponse();
  }

  onInterim(head: ResponseHead): void {
    if (this.#over) return;
    this.cluster.stats.response(head.status);
    this.#exchange.upstreamInterim(head);
  }

  onHead(head: ResponseHead): void {
    if (this.#over) return;
    // A response without a body is whole: whoever ends the exchange now must not take the connection down with it.
    if (!head.hasBody) this.#whole();
    else if (this.#timeout !== undefined) this.#exchange.machine.wheel.cancel(this.#timeout);
    this.#exchange.upstreamHead(this, head);
  }

  onBody(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#over) this.#exchange.upstreamBody(this, bytes, start, end);
  }

  onEnd(trailers: HeaderBlock | undefined): void {
    if (this.#over) return;
    this.#whole();
    this.#exchange.upstreamEnd(trailers);
  }

  onWritable(): void {
    if (!this.#over) this.#exchange.upstreamWritable();
  }

  onFailure(failure: StreamFailure, detail: string): void {
    if (this.#over) return;
    this.#end();
    if (!this.#answered) this.endpoint.rqError++;
    if (failure === "protocol-error") this.cluster.stats.cxProtocolError.value++;
    this.#exchange.upstreamFailed(this, failure, detail);
  }

  /** For the endpoint's own counts, in /clusters. */
  answered(status: number): void {
    this.#answered = true;
    if (status < 500 || status > 599) this.endpoint.rqSuccess++;
    else this.endpoint.rqError++;
  }

  timedOut(): void {
    this.endpoint.rqTimeout++;
    this.endpoint.rqError++;
    this.cancel();
  }

  /** Ends the try from our side. */
  cancel(): void {
    if (this.#over) return;
    this.#end();
    if (this.#stream === undefined) this.endpoint.forget(this);
    else this.#stream.cancel();
  }

  /** The exchange is over; the response may have come before the request was whole. */
  released(): void {
    this.cancel();
  }

  #whole(): void {
    this.#end();
    this.cluster.stats.answeredAfter(this.elapsedMs());
  }

  #end(): void {
    this.#over = true;
    if (this.#timeout !== undefined) this.#exchange.machine.wheel.cancel(this.#timeout);
    if (!this.#counted) return;
    this.#counted = false;
    this.endpoint.active--;
    this.cluster.stats.rqActive.value--;
  }
}
