/**
 * One TCP, Unix or TLS connection over node:net and node:tls.
 *
 * Plain sockets are read by recv(2) into one buffer that all connections share, when epoll says so (readiness.ts): bytes
 * are borrowed, nothing is allocated. What one turn of the event loop writes is gathered and leaves by one send(2), which
 * also says how much the kernel took, so that borrowed bytes are copied only when it did not take all; only that rest
 * goes through Node's own write queue. TLS sockets use Node's streams: one write, so one record, a turn.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Connection, ConnectionHandler, NetError, TlsServerContext } from "#host/net.ts";
import { errnoName, libc } from "#host/real/libc.ts";
import type { NodeFacts } from "./facts.ts";
import { acceptTls } from "./tls-socket.ts";
import { isTlsSettings } from "./tls-context.ts";
import { handleOf } from "./node-handle.ts";
import { appendToOutbox, emptyOutbox, fitsOutbox, outboxAddress, outboxCopy, outboxEnd, READ_BYTES, readAddress, readBytes } from "./memory.ts";
import { atTurnEnd, isServing, type Readable, unwatch, watch } from "./readiness.ts";

/** Above this much unsent a connection asks for patience: `onDrain` follows. */
const HIGH_WATER_BYTES = 65_536;
/** Borrowed bytes of at least this size are sent at once; less waits for the turn's other bytes. */
const SEND_AT_ONCE_BYTES = 16_384;
const MSG_DONTWAIT = 0x40;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
const MSG_MORE = 0x8000;
const EAGAIN = 11;
const EINTR = 4;

const noBytes = Buffer.alloc(0);

/** Options of a socket that Node makes, but does not read. */
export const SOCKET_OPTIONS = { allowHalfOpen: true, readable: true, writable: true, manualStart: true } as const;

let dirty: NodeConnection[] = [];
let flushing: NodeConnection[] = [];

function flushDirty(): void {
  const connections = dirty;
  dirty = flushing;
  flushing = connections;
  for (const connection of connections) connection.turnEnded();
  connections.length = 0;
  if (dirty.length === 0) emptyOutbox();
}

atTurnEnd(flushDirty);

export class NodeConnection implements Connection, Readable {
  readonly facts: NodeFacts;
  #handler: ConnectionHandler | undefined;
  /** What bytes go through: the plain socket, or TLS over it. */
  #socket: Socket;
  readonly #plain: Socket;
  #tls: TLSSocket | undefined;
  /** For send(2); -1 while connecting and under TLS. */
  #fd = -1;
  #connected: boolean;
  /** What this turn wrote stands in the outbox from here to there; -1: nothing. */
  #outboxFrom = -1;
  #outboxTo = -1;
  /** What could not go there, in order behind it. */
  #queue: (Uint8Array | string)[] | undefined;
  /** Bytes of both. */
  #queuedBytes = 0;
  sentBytes = 0;
  #isDirty = false;
  #wantsDrain = false;
  #paused = false;
  #ended = false;
  /** Our half is sent and closed; the peer's half is. Of plain sockets. */
  #finished = false;
  #peerEnded = false;
  #closed = false;
  /** Our own destroy is no error. */
  #destroyed = false;
  #error: NetError | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(plain: Socket, options: { readonly connected: boolean; readonly facts: NodeFacts }) {
    this.#plain = plain;
    this.#socket = plain;
    this.#connected = options.connected;
    this.facts = options.facts;
    if (options.connected) this.#fd = handleOf(plain)?.fd ?? -1;
    this.#listen(plain);
  }

  #listen(socket: Socket): void {
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  readonly #onEnd = (): void => {
    if (this.#tls !== undefined && !this.#connected) this.fail("ECONNRESET", "the peer closed the connection during the TLS handshake");
    else this.#handler?.onEnd?.();
  };

  readonly #onError = (error: Error & { code?: string }): void => this.fail(error.code ?? "EIO", error.message);

  readonly #onClose = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    unwatch(this.#fd, this, true);
    this.#fd = -1;
    this.#forgetQueued();
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClose(this.#error);
  };

  handle(handler: ConnectionHandler): void {
    const isFirst = this.#handler === undefined;
    this.#handler = handler;
    if (isFirst && this.#connected && !this.#paused && !this.#closed) this.#read();
  }

  #read(): void {
    if (this.#tls !== undefined) this.#tls.resume();
    else if (this.#fd >= 0 && !this.#peerEnded && !watch(this.#fd, this)) {
      const code = errnoName(libc().errno());
      this.fail(code, `epoll_ctl: ${code}`);
    }
  }

  /** The plain socket has something to read. */
  readable(): void {
    const length = libc().recvAt(this.#fd, readAddress(), READ_BYTES, MSG_DONTWAIT);
    if (length > 0) this.#handler?.onData(readBytes(length));
    else if (length === 0) {
      this.#peerEnded = true;
      unwatch(this.#fd, this, false);
      this.#handler?.onEnd?.();
      if (this.#finished) this.#socket.destroy();
    } else {
      const errno = libc().errno();
      if (errno !== EAGAIN && errno !== EINTR) this.fail(errnoName(errno), `recv: ${errnoName(errno)}`);
    }
  }

  /** A plain socket has connected, or a TLS handshake has finished. */
  established(): void {
    clearTimeout(this.#deadline);
    this.#connected = true;
    if (this.#tls === undefined) this.#fd = handleOf(this.#plain)?.fd ?? -1;
    if (!this.#paused) this.#read();
    this.#handler?.onConnect?.();
    if (this.#ended && !this.#closed) {
      this.flush();
      this.#finish();
    } else if (this.#queuedBytes > 0 && !this.#isDirty) this.#markDirty();
  }

  /** Gives up when it is not established by then. */
  failAfter(delayMs: number, message: string): void {
    this.#deadline = setTimeout(() => this.fail("ETIMEDOUT", message), delayMs);
  }

  /** Bytes go through `tls` from now on; nothing is written until `established`. */
  wrapped(tls: TLSSocket): void {
    this.#plain.off("end", this.#onEnd);
    this.#plain.off("close", this.#onClose);
    unwatch(this.#fd, this, false);
    this.#tls = tls;
    this.#socket = tls;
    this.#fd = -1;
    this.#connected = false;
    this.#listen(tls);
    tls.on("data", (bytes: Buffer) => this.#handler?.onData(bytes));
    if (this.#paused) tls.pause();
  }

  /** Ends the connection with an error; the first one is reported. */
  fail(code: string, message: string): void {
    if (!this.#destroyed) this.#error ??= { code, message };
    unwatch(this.#fd, this, true);
    this.#socket.destroy();
  }

  get bufferedBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  write(chunk: Uint8Array | string): void {
    const { length } = chunk;
    if (this.#ended || this.#closed || length === 0) return;
    if (length < SEND_AT_ONCE_BYTES && this.#canUseOutbox(length)) this.#append(chunk);
    else {
      (this.#queue ??= []).push(chunk);
      this.#queuedBytes += length;
      this.sentBytes += length;
      if (!this.#isDirty) this.#markDirty();
    }
  }

  writeBorrowed(bytes: Uint8Array): void {
    const { length } = bytes;
    if (this.#ended || this.#closed || length === 0) return;
    if (length < SEND_AT_ONCE_BYTES || this.#fd < 0 || this.#plain.writableLength > 0) {
      if (this.#canUseOutbox(length)) this.#append(bytes);
      else this.write(Buffer.from(bytes));
      return;
    }
    if (this.#queuedBytes > 0) this.#flushPlain(MSG_MORE);
    if (this.#ended) return;
    this.sentBytes += length;
    const sent = this.#plain.writableLength > 0 ? 0 : this.#sent(libc().send(this.#fd, bytes, length, MSG_DONTWAIT_NOSIGNAL));
    if (sent >= 0 && sent < length) this.#writeRest(Buffer.from(bytes.subarray(sent)));
  }

  /** What is there of this connection must end where the outbox does. */
  #canUseOutbox(length: number): boolean {
    return this.#connected && this.#queue === undefined && (this.#outboxFrom < 0 || this.#outboxTo === outboxEnd()) && fitsOutbox(length);
  }

  #append(chunk: Uint8Array | string): void {
    if (this.#outboxFrom < 0) this.#outboxFrom = outboxEnd();
    appendToOutbox(chunk);
    this.#outboxTo = outboxEnd();
    this.#queuedBytes += chunk.length;
    this.sentBytes += chunk.length;
    if (!this.#isDirty) this.#markDirty();
  }

  #forgetQueued(): void {
    this.#outboxFrom = this.#outboxTo = -1;
    this.#queue = undefined;
    this.#queuedBytes = 0;
  }

  #markDirty(): void {
    this.#isDirty = true;
    if (dirty.length === 0 && !isServing()) setImmediate(flushDirty);
    dirty.push(this);
  }

  turnEnded(): void {
    this.#isDirty = false;
    this.flush();
  }

  flush(): void {
    if (this.#queuedBytes === 0 || !this.#connected || this.#closed) return;
    if (this.#queuedBytes > HIGH_WATER_BYTES) this.#wantsDrain = true;
    if (this.#tls === undefined) this.#flushPlain(0);
    else this.#writeRest(this.#takeQueued());
    if (this.#wantsDrain && this.#socket.writableLength === 0) process.nextTick(this.#drained);
  }

  #flushPlain(flags: number): void {
    const from = this.#outboxFrom;
    if (this.#queue !== undefined || this.#plain.writableLength > 0 || this.#fd < 0) {
      this.#flushQueued(flags);
      return;
    }
    const to = this.#outboxTo;
    this.#forgetQueued();
    const sent = this.#sent(libc().sendAt(this.#fd, outboxAddress(from), to - from, MSG_DONTWAIT_NOSIGNAL | flags));
    if (sent >= 0 && sent < to - from) this.#writeRest(outboxCopy(from + sent, to));
  }

  #flushQueued(flags: number): void {
    const bytes = this.#takeQueued();
    const canSend = this.#plain.writableLength === 0 && this.#fd >= 0;
    const sent = canSend ? this.#sent(libc().send(this.#fd, bytes, bytes.length, MSG_DONTWAIT_NOSIGNAL | flags)) : 0;
    if (sent >= 0 && sent < bytes.length) this.#writeRest(bytes.subarray(sent));
  }

  /** All that is queued, in memory of its own. */
  #takeQueued(): Uint8Array {
    const from = this.#outboxFrom;
    const queue = this.#queue;
    const [only] = queue ?? [];
    let bytes: Uint8Array;
    if (queue === undefined) bytes = outboxCopy(from, this.#outboxTo);
    else if (from < 0 && queue.length === 1 && typeof only === "object") bytes = only;
    else {
      const parts = queue.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk));
      bytes = Buffer.concat(from < 0 ? parts : [outboxCopy(from, this.#outboxTo), ...parts]);
    }
    this.#forgetQueued();
    return bytes;
  }

  /** Bytes that the kernel took, of what a send call answered; -1 when the connection is broken. */
  #sent(result: number): number {
    if (result >= 0) return result;
    const errno = libc().errno();
    if (errno === EAGAIN || errno === EINTR) return 0;
    const code = errnoName(errno);
    this.#ended = true;
    if (!this.#destroyed) this.#error ??= { code, message: `send: ${code}` };
    // What the peer said before it went away (an early answer) may still wait to be read: in the next turn, after this one's end.
    setImmediate(() => setImmediate(() => this.#socket.destroy()));
    return -1;
  }

  #writeRest(bytes: Uint8Array): void {
    if (this.#socket.writableLength + bytes.length > HIGH_WATER_BYTES) this.#wantsDrain = true;
    this.#socket.write(bytes, this.#written);
  }

  readonly #written = (): void => {
    if (this.#wantsDrain && this.bufferedBytes === 0) this.#drained();
  };

  readonly #drained = (): void => {
    if (!this.#wantsDrain || this.#closed || this.bufferedBytes > 0) return;
    this.#wantsDrain = false;
    this.#handler?.onDrain?.();
  };

  pause(): void {
    this.#paused = true;
    if (this.#tls !== undefined) this.#tls.pause();
    else unwatch(this.#fd, this, false);
  }

  resume(): void {
    this.#paused = false;
    if (this.#connected && this.#handler !== undefined && !this.#closed) this.#read();
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    if (this.#connected) this.flush();
    this.#ended = true;
    if (this.#connected) this.#finish();
  }

  #finish(): void {
    if (this.#tls !== undefined) this.#tls.end();
    else this.#plain.end(this.#sentEnd);
  }

  /** Node does not see the peer's end of a plain socket, so it does not close one that both have ended. */
  readonly #sentEnd = (): void => {
    this.#finished = true;
    if (this.#peerEnded && this.#tls === undefined) this.#plain.destroy();
  };

  destroy(reset = false): void {
    if (this.#closed) return;
    this.#destroyed = true;
    this.#ended = true;
    this.#forgetQueued();
    unwatch(this.#fd, this, true);
    const isReset = reset && !this.#plain.connecting && handleOf(this.#plain)?.setNoDelay !== undefined;
    if (isReset) this.#plain.resetAndDestroy();
    else this.#socket.destroy();
  }

  startTls(context: TlsServerContext, unread: Uint8Array = noBytes): void {
    if (this.#closed) return;
    if (!isTlsSettings(context) || context.kind !== "tls-server") throw new TypeError("startTls wants a context of this host's tlsServer");
    acceptTls(this, this.#plain, context, unread);
  }
}
