/**
 * One end of a connection in memory. Bytes travel to the peer in order and take time; what the peer has not read fills
 * a window, and then the writer's own buffer, so back-pressure is real. Bytes handed to `onData` are spoilt after the
 * call: who keeps borrowed bytes finds out here.
 */
import type { Connection, ConnectionFacts, ConnectionHandler, NetError, SocketAddress, TlsFacts, TlsServerContext } from "#host/net.ts";
import { clientHello, clientOutcome, isFakeServer, serverOutcome } from "./tls.ts";
import type { FakeServerContext, Hello, Outcome } from "./tls.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What two kernels' socket buffers hold. */
const WINDOW_BYTES = 262_144;
const HIGH_WATER_BYTES = 65_536;
/** What a reader's buffer takes at once. */
const READ_BYTES = 65_536;
const SPOILT = 0xdb;

type Item =
  | { readonly kind: "data"; readonly bytes: Buffer }
  | { readonly kind: "end" }
  | { readonly kind: "reset" }
  /** The server's flight of a handshake, then the client's. */
  | { readonly kind: "server-hello"; readonly context: FakeServerContext }
  | { readonly kind: "client-finished" };

interface FakeFacts extends ConnectionFacts {
  tls: TlsFacts | undefined;
}

export interface FakeConnectionOptions {
  readonly world: VirtualTime;
  readonly random: (length: number) => Uint8Array;
  readonly local: SocketAddress | undefined;
  readonly remote: SocketAddress | undefined;
  readonly originalDestination?: SocketAddress | undefined;
  readonly isUnix?: boolean;
  /** A client that starts with TLS. */
  readonly hello?: Hello | undefined;
}

export class FakeConnection implements Connection {
  readonly facts: FakeFacts;
  readonly #options: FakeConnectionOptions;
  #handler: ConnectionHandler | undefined;
  #peer: FakeConnection | undefined;
  #delayMs: () => number = () => 0;
  #state: "connecting" | "handshake" | "open" | "closed" = "connecting";
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  sentBytes = 0;
  #unacknowledged = 0;
  #lastArrivalMs = 0;
  readonly #incoming: Item[] = [];
  #isDirty = false;
  #wantsDrain = false;
  #paused = false;
  #ending = false;
  #endSent = false;
  #endHeard = false;
  #serverTls: FakeServerContext | undefined;
  #helloSeen = Buffer.alloc(0);
  #deadline: (() => void) | undefined;

  constructor(options: FakeConnectionOptions) {
    this.#options = options;
    this.facts = {
      local: options.local,
      remote: options.remote,
      originalDestination: options.originalDestination,
      tls: undefined,
      peerCredentials: options.isUnix === true ? { pid: 1, uid: 0, gid: 0 } : undefined,
    };
  }

  /** Both ends stand from now on. */
  join(peer: FakeConnection, delayMs: () => number): void {
    this.#peer = peer;
    this.#delayMs = delayMs;
    if (this.#options.hello === undefined) this.#state = "open";
    else this.#state = "handshake";
  }

  /** The client learns that it is connected. */
  connected(): void {
    const { hello } = this.#options;
    if (hello === undefined) this.#established();
    else this.#transmit({ kind: "data", bytes: Buffer.from(clientHello(hello, this.#options.random(64))) });
  }

  failAfter(delayMs: number, message: string): void {
    this.#deadline = this.#options.world.plan(delayMs, () => this.fail({ code: "ETIMEDOUT", message }));
  }

  fail(error: NetError): void {
    if (this.#state === "closed") return;
    this.#transmit({ kind: "reset" });
    this.#close(error);
  }

  get hello(): Hello | undefined {
    return this.#options.hello;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  handle(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.#options.world.plan(0, () => this.#process());
  }

  get bufferedBytes(): number {
    return this.#queuedBytes;
  }

  write(chunk: Uint8Array | string): void {
    if (this.#ending || this.#state === "closed" || chunk.length === 0) return;
    this.#queue.push(typeof chunk === "string" ? Buffer.from(chunk, "latin1") : Buffer.from(chunk));
    this.#queuedBytes += chunk.length;
    this.sentBytes += chunk.length;
    if (this.#queuedBytes > HIGH_WATER_BYTES) this.#wantsDrain = true;
    this.#soon();
  }

  writeBorrowed(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.write(bytes.subarray(start, end));
  }

  #soon(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#options.world.plan(0, () => {
      this.#isDirty = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#state !== "open") return;
    while (this.#queuedBytes > 0 && this.#unacknowledged < WINDOW_BYTES) {
      const all = this.#queue.length === 1 ? (this.#queue[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#queue);
      const bytes = all.subarray(0, Math.min(READ_BYTES, WINDOW_BYTES - this.#unacknowledged));
      this.#queue = bytes.length === all.length ? [] : [all.subarray(bytes.length)];
      this.#queuedBytes -= bytes.length;
      this.#unacknowledged += bytes.length;
      this.#transmit({ kind: "data", bytes: Buffer.from(bytes) });
    }
    if (this.#queuedBytes > 0) return;
    if (this.#ending && !this.#endSent) {
      this.#endSent = true;
      this.#transmit({ kind: "end" });
      if (this.#endHeard) this.#options.world.plan(0, () => this.#close(undefined));
    }
    if (!this.#wantsDrain) return;
    this.#wantsDrain = false;
    this.#options.world.plan(0, () => this.#handler?.onDrain?.());
  }

  #transmit(item: Item): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const { world } = this.#options;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, world.elapsedMs + this.#delayMs());
    world.plan(this.#lastArrivalMs - world.elapsedMs, () => peer.#arrive(item));
  }

  #arrive(item: Item): void {
    if (this.#state === "closed") {
      // Whoever speaks to a closed socket is reset.
      if (item.kind === "data") this.#transmit({ kind: "reset" });
      return;
    }
    if (item.kind === "reset") return this.#close({ code: "ECONNRESET", message: "read ECONNRESET" });
    this.#incoming.push(item);
    this.#process();
  }

  #process(): void {
    while (this.#state !== "closed" && this.#handler !== undefined && (!this.#paused || this.#state === "handshake")) {
      const item = this.#incoming.shift();
      if (item === undefined) return;
      if (item.kind === "data") this.#receive(item.bytes);
      else if (item.kind === "end") this.#hearEnd();
      else if (item.kind !== "reset") this.#handshake(item);
    }
  }

  #receive(bytes: Buffer): void {
    this.#acknowledge(bytes.length);
    if (this.#serverTls !== undefined && this.#state === "handshake") return this.#readHello(bytes);
    if (this.#state === "handshake") return this.fail({ code: "ERR_SSL_WRONG_VERSION_NUMBER", message: "the peer does not speak TLS" });
    // As in the real host no Buffer, whose slice would share what is spoilt next.
    this.#handler?.onData(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
    bytes.fill(SPOILT);
  }

  #acknowledge(length: number): void {
    const peer = this.#peer;
    this.#options.world.plan(this.#delayMs(), () => {
      if (peer === undefined) return;
      peer.#unacknowledged -= length;
      peer.flush();
    });
  }

  #hearEnd(): void {
    if (this.#state === "handshake") return this.fail({ code: "ECONNRESET", message: "the peer closed the connection during the TLS handshake" });
    this.#endHeard = true;
    this.#handler?.onEnd?.();
    if (this.#endSent) this.#close(undefined);
  }

  startTls(context: TlsServerContext, unread: Uint8Array = Buffer.alloc(0)): void {
    if (!isFakeServer(context)) throw new TypeError("startTls wants a context of this host's tlsServer");
    this.#serverTls = context;
    this.#state = "handshake";
    if (unread.length > 0) this.#readHello(Buffer.from(unread));
  }

  #readHello(bytes: Buffer): void {
    this.#helloSeen = Buffer.concat([this.#helloSeen, bytes]);
    const hello = this.#peer?.hello;
    if (hello === undefined || this.#helloSeen[0] !== 22) {
      return this.fail({ code: "ERR_SSL_WRONG_VERSION_NUMBER", message: "the peer does not speak TLS" });
    }
    if (this.#helloSeen.length < 5 || this.#helloSeen.length < 5 + this.#helloSeen.readUInt16BE(3)) return;
    if (this.#serverTls !== undefined) this.#transmit({ kind: "server-hello", context: this.#serverTls });
  }

  #handshake(item: Extract<Item, { kind: "server-hello" | "client-finished" }>): void {
    const now = this.#options.world.clock.now();
    if (item.kind === "server-hello") {
      const { hello } = this.#options;
      if (hello !== undefined) this.#finish(clientOutcome(hello, item.context, now), { kind: "client-finished" });
      return;
    }
    const hello = this.#peer?.hello;
    if (hello !== undefined && this.#serverTls !== undefined) this.#finish(serverOutcome(hello, this.#serverTls, now), undefined);
  }

  #finish(outcome: Outcome, answer: Item | undefined): void {
    if (outcome.error !== undefined) return this.fail(outcome.error);
    this.facts.tls = outcome.facts;
    if (answer !== undefined) this.#transmit(answer);
    this.#state = "open";
    this.#established();
  }

  #established(): void {
    this.#deadline?.();
    this.#handler?.onConnect?.();
    this.flush();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#options.world.plan(0, () => this.#process());
  }

  end(): void {
    if (this.#ending || this.#state === "closed") return;
    this.#ending = true;
    this.#soon();
  }

  destroy(reset = false): void {
    if (this.#state === "closed") return;
    const unread = this.#incoming.some((item) => item.kind === "data");
    if (!this.#endSent || reset) this.#transmit({ kind: reset || unread ? "reset" : "end" });
    this.#close(undefined);
  }

  #close(error: NetError | undefined): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#deadline?.();
    this.#incoming.length = 0;
    this.#queue = [];
    this.#queuedBytes = 0;
    const handler = this.#handler;
    this.#handler = undefined;
    this.#options.world.plan(0, () => handler?.onClose(error));
  }
}
