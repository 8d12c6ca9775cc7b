/**
 * One TCP, Unix or TLS connection. Node makes, connects, accepts and closes the socket; bytes go past its streams.
 *
 * Sockets are read by recv(2) into one buffer that all connections share, when epoll says so (readiness.ts): bytes are
 * borrowed, nothing is allocated. What one turn of the event loop writes is gathered and leaves by one send(2), which
 * also says how much the kernel took, so that borrowed bytes are copied only when it did not take all; only that rest
 * goes through Node's own write queue. TLS lies between as a session that turns bytes into bytes (tls-session.ts); what
 * one turn writes is one record.
 */
import type { Socket } from "node:net";
import type { Connection, ConnectionHandler, NetError, TlsServerContext } from "#host/net.ts";
import { errnoName, libc } from "#host/real/libc.ts";
import type { NodeFacts } from "./facts.ts";
import { isTlsSettings, type TlsSettings } from "./tls-context.ts";
import { proved } from "./tls-peer.ts";
import { BROKEN, ENDED, TlsSession } from "./tls-session.ts";
import { handleOf } from "./node-handle.ts";
import {
  appendToOutbox,
  emptyOutbox,
  fitsOutbox,
  outboxAddress,
  outboxCopy,
  outboxEnd,
  READ_BYTES,
  readAddress,
  readBytes,
  SEALED_BYTES,
  sealedAddress,
  sealedCopy,
} from "./memory.ts";
import { atTurnEnd, isServing, type Readable, readAgain, unwatch, watch } from "./readiness.ts";

/** Above this much unsent a connection asks for patience: `onDrain` follows. */
const HIGH_WATER_BYTES = 65_536;
/** Borrowed bytes of at least this size are sent at once; less waits for the turn's other bytes. */
const SEND_AT_ONCE_BYTES = 16_384;
/** Records of this much are made and sent at a time; and read. A session keeps memory for the largest. */
const SEAL_AT_ONCE_BYTES = 49_152;
const TLS_READ_BYTES = 65_536;
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
  readonly #socket: Socket;
  /** For send(2) and recv(2); -1 while connecting. */
  #fd = -1;
  #tls: TlsSession | undefined;
  #tlsSettings: TlsSettings | undefined;
  #askedServerName: string | undefined;
  /** And, with TLS, the handshake is done. */
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
  /** Our half is sent and closed; the peer's half is. */
  #finished = false;
  #peerEnded = false;
  /** The peer sends no more, but what it sent under TLS may not all be opened. */
  #sawEnd = false;
  #closed = false;
  /** Our own destroy is no error. */
  #destroyed = false;
  /** The kernel refused to send. */
  #isBroken = false;
  #error: NetError | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: { readonly connected: boolean; readonly facts: NodeFacts }) {
    this.#socket = socket;
    this.#connected = options.connected;
    this.facts = options.facts;
    if (options.connected) this.#fd = handleOf(socket)?.fd ?? -1;
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  readonly #onError = (error: Error & { code?: string }): void => this.fail(error.code ?? "EIO", error.message);

  readonly #onClose = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    unwatch(this.#fd, this, true);
    this.#fd = -1;
    this.#tls?.free();
    this.#tls = undefined;
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
    if (this.#fd < 0 || this.#sawEnd || watch(this.#fd, this)) return;
    const code = errnoName(libc().errno());
    this.fail(code, `epoll_ctl: ${code}`);
  }

  /** The socket has something to read. */
  readable(isLast: boolean): void {
    const most = this.#tls === undefined ? READ_BYTES : TLS_READ_BYTES;
    const length = libc().recvAt(this.#fd, readAddress(), most, MSG_DONTWAIT);
    // A short read has emptied the socket; only its end, if it has come, is still to be read.
    if (length === most || (isLast && length > 0)) readAgain(this.#fd);
    if (length < 0) {
      const errno = libc().errno();
      if (errno === EINTR) readAgain(this.#fd);
      else if (errno !== EAGAIN) this.fail(errnoName(errno), `recv: ${errnoName(errno)}`);
    } else if (length === 0) {
      this.#sawEnd = true;
      unwatch(this.#fd, this, false);
      if (this.#tls === undefined) this.#peerEnds();
      else this.#progress();
    } else if (this.#tls === undefined) this.#handler?.onData(readBytes(length));
    else if (!this.#peerEnded) {
      // What comes after the peer's close_notify means nothing, and would be kept by nobody but the session.
      this.#tls.feedAt(readAddress(), length);
      this.#progress();
    }
  }

  #peerEnds(): void {
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    this.#handler?.onEnd?.();
    if (this.#finished) this.#close();
  }

  /** As far as what has come from the peer allows: the handshake, then its bytes, then its end. */
  #progress(): void {
    if (!this.#connected && !this.#handshake()) return;
    while (!this.#paused && !this.#peerEnded && !this.#socket.destroyed && this.#tls !== undefined) {
      const length = this.#tls.open(readAddress(), READ_BYTES);
      if (length > 0) this.#handler?.onData(readBytes(length));
      else if (length === BROKEN) {
        const { code, message } = this.#tls.failure();
        this.#sendSealed(this.#tls);
        return this.fail(code, message);
      } else if (length === ENDED || this.#sawEnd) this.#peerEnds();
      else return;
      if (length > 0 && !this.#sawEnd && this.#tls?.hasMore !== true) return;
    }
  }

  /** True when it is done, and the peer is who it should be. */
  #handshake(): boolean {
    const tls = this.#tls;
    const settings = this.#tlsSettings;
    if (tls === undefined || settings === undefined || this.#socket.destroyed) return false;
    const step = tls.handshake();
    this.#sendSealed(tls);
    if (step === false) {
      if (this.#sawEnd) this.fail("ECONNRESET", "the peer closed the connection during the TLS handshake");
      return false;
    }
    if (step !== true) {
      this.fail(step.code, step.message);
      return false;
    }
    const { facts, refusal } = proved(tls, settings, this.#askedServerName);
    this.facts.tls = facts;
    if (refusal === undefined) this.established();
    else this.fail(refusal.code, refusal.message);
    return refusal === undefined;
  }

  /** The socket has connected, or a TLS handshake has finished. */
  established(): void {
    clearTimeout(this.#deadline);
    this.#connected = true;
    this.#fd = handleOf(this.#socket)?.fd ?? -1;
    if (this.#paused) unwatch(this.#fd, this, false);
    else this.#read();
    this.#handler?.onConnect?.();
    if (this.#socket.destroyed) return;
    if (this.#ended) {
      this.flush();
      this.#finish();
    } else if (this.#queuedBytes > 0 && !this.#isDirty) this.#markDirty();
  }

  /** Gives up when it is not established by then. */
  failAfter(delayMs: number, message: string): void {
    this.#deadline = setTimeout(() => this.fail("ETIMEDOUT", message), delayMs);
  }

  /** What is written from now on is sealed, and waits until the handshake is done. */
  secure(settings: TlsSettings, serverName: string | undefined, unread: Uint8Array): void {
    this.#connected = false;
    this.#fd = handleOf(this.#socket)?.fd ?? -1;
    this.#tlsSettings = settings;
    this.#askedServerName = serverName;
    this.#tls = new TlsSession(settings.context.pointer, settings.kind === "tls-server" ? "server" : "client", serverName);
    this.#tls.feed(unread);
    this.#read();
    // In a turn of its own: who calls this does not expect to hear of the outcome yet.
    setImmediate(() => this.#progress());
  }

  /** Ends the connection with an error; the first one is reported. */
  fail(code: string, message: string): void {
    if (!this.#destroyed) this.#error ??= { code, message };
    this.#close();
  }

  /** The descriptor's number may be another socket's as soon as it is closed: nothing of this one uses it any more. */
  #close(isReset = false): void {
    unwatch(this.#fd, this, true);
    this.#fd = -1;
    this.#ended = true;
    if (isReset) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
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
    if (length < SEND_AT_ONCE_BYTES || !this.#connected || this.#socket.writableLength > 0) {
      if (this.#canUseOutbox(length)) this.#append(bytes);
      else this.write(Buffer.from(bytes));
      return;
    }
    if (this.#tls !== undefined) {
      this.flush();
      this.sentBytes += length;
      if (!this.#ended) this.#seal(this.#tls, bytes);
      return;
    }
    if (this.#queuedBytes > 0) this.#flushPlain(MSG_MORE);
    if (this.#ended) return;
    this.sentBytes += length;
    const sent = this.#socket.writableLength > 0 ? 0 : this.#sent(libc().send(this.#fd, bytes, length, MSG_DONTWAIT_NOSIGNAL));
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
    else this.#flushSealed(this.#tls);
    if (this.#wantsDrain && this.#socket.writableLength === 0) process.nextTick(this.#drained);
  }

  #flushSealed(tls: TlsSession): void {
    const from = this.#outboxFrom;
    const length = this.#outboxTo - from;
    if (this.#queue === undefined && length <= SEAL_AT_ONCE_BYTES) {
      this.#forgetQueued();
      tls.sealAt(outboxAddress(from), length);
      this.#sendSealed(tls);
    } else this.#seal(tls, this.#takeQueued());
  }

  /** Piece by piece: the session keeps memory for the largest that it ever held. */
  #seal(tls: TlsSession, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#socket.destroyed; at += SEAL_AT_ONCE_BYTES) {
      tls.seal(bytes.subarray(at, at + SEAL_AT_ONCE_BYTES));
      this.#sendSealed(tls);
    }
  }

  /** What the session has to say: sent, or left to Node when the kernel takes no more. */
  #sendSealed(tls: TlsSession): void {
    for (;;) {
      const length = tls.take(sealedAddress(), SEALED_BYTES);
      if (length === 0 || this.#isBroken || this.#fd < 0) return;
      const canSend = this.#socket.writableLength === 0;
      const sent = canSend ? this.#sent(libc().sendAt(this.#fd, sealedAddress(), length, MSG_DONTWAIT_NOSIGNAL)) : 0;
      if (sent >= 0 && sent < length) this.#writeRest(sealedCopy(sent, length));
      if (length < SEALED_BYTES) return;
    }
  }

  #flushPlain(flags: number): void {
    const from = this.#outboxFrom;
    if (this.#queue !== undefined || this.#socket.writableLength > 0 || this.#fd < 0) {
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
    const canSend = this.#socket.writableLength === 0 && this.#fd >= 0;
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
    this.#ended = this.#isBroken = true;
    if (!this.#destroyed) this.#error ??= { code, message: `send: ${code}` };
    // What the peer said before it went away (an early answer) may still wait to be read: in the next turn, after this one's end.
    setImmediate(() => setImmediate(() => this.#close()));
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
    if (this.#connected) unwatch(this.#fd, this, false);
  }

  resume(): void {
    this.#paused = false;
    if (!this.#connected || this.#handler === undefined || this.#closed) return;
    this.#read();
    if (this.#tls !== undefined && (this.#sawEnd || this.#tls.hasMore)) setImmediate(() => this.#progress());
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    if (this.#connected) this.flush();
    this.#ended = true;
    if (this.#connected) this.#finish();
  }

  #finish(): void {
    if (this.#tls !== undefined) {
      this.#tls.shutdown();
      this.#sendSealed(this.#tls);
    }
    this.#socket.end(this.#sentEnd);
  }

  /** Node does not see the peer's end, so it does not close a socket that both have ended. */
  readonly #sentEnd = (): void => {
    this.#finished = true;
    if (this.#peerEnded) this.#close();
  };

  destroy(reset = false): void {
    if (this.#closed) return;
    this.#destroyed = true;
    this.#forgetQueued();
    this.#close(reset && !this.#socket.connecting && handleOf(this.#socket)?.setNoDelay !== undefined);
  }

  startTls(context: TlsServerContext, unread: Uint8Array = noBytes): void {
    if (this.#closed) return;
    if (!isTlsSettings(context) || context.kind !== "tls-server") throw new TypeError("startTls wants a context of this host's tlsServer");
    this.secure(context, undefined, unread);
  }
}
