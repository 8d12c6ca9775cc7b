/**
 * The sending half of a connection. What one turn of the event loop writes is gathered and leaves by one send(2), which
 * also says how much the kernel took, so that borrowed bytes are copied only when it did not take all; only that rest
 * goes through Node's own write queue. Under TLS, what one turn writes is one record.
 */
import type { Socket } from "node:net";
import { errnoName, libc } from "#host/real/libc.ts";
import type { TlsSession } from "./tls-session.ts";
import {
  appendRange,
  appendToOutbox,
  emptyOutbox,
  fitsOutbox,
  outboxAddress,
  outboxCopy,
  outboxEnd,
  SEALED_BYTES,
  sealedAddress,
  sealedCopy,
} from "./memory.ts";
import { atTurnEnd, isServing } from "./readiness.ts";

/** Above this much unsent a connection asks for patience: `onDrain` follows. */
const HIGH_WATER_BYTES = 65_536;
/** Borrowed bytes of at least this size are sent at once; less waits for the turn's other bytes. */
const SEND_AT_ONCE_BYTES = 16_384;
/** Records of this much are made and sent at a time: a session keeps memory for the largest. */
const SEAL_AT_ONCE_BYTES = 49_152;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
const MSG_MORE = 0x8000;
const EAGAIN = 11;
const EINTR = 4;

let dirty: SendingConnection[] = [];
let flushing: SendingConnection[] = [];

function flushDirty(): void {
  const connections = dirty;
  dirty = flushing;
  flushing = connections;
  for (const connection of connections) connection.turnEnded();
  connections.length = 0;
  if (dirty.length === 0) emptyOutbox();
}

atTurnEnd(flushDirty);

export abstract class SendingConnection {
  protected readonly socket: Socket;
  /** For send(2) and recv(2); -1 while connecting. */
  protected fd = -1;
  protected tls: TlsSession | undefined = undefined;
  /** And, with TLS, the handshake is done. */
  protected connected: boolean;
  /** Nothing more is written. */
  protected ended = false;
  protected closed = false;
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
  /** The kernel refused to send. */
  #isBroken = false;

  constructor(socket: Socket, connected: boolean) {
    this.socket = socket;
    this.connected = connected;
  }

  /** Why it ends; the first reason counts. */
  protected abstract blame(code: string, message: string): void;
  protected abstract close(): void;
  /** All is sent after there was much to send. */
  protected abstract drained(): void;

  get bufferedBytes(): number {
    return this.#queuedBytes + this.socket.writableLength;
  }

  write(chunk: Uint8Array | string): void {
    const { length } = chunk;
    if (this.ended || this.closed || length === 0) return;
    if (length < SEND_AT_ONCE_BYTES && this.#canUseOutbox(length)) this.#append(chunk);
    else {
      (this.#queue ??= []).push(chunk);
      this.#queuedBytes += length;
      this.sentBytes += length;
      if (!this.#isDirty) this.#markDirty();
    }
  }

  writeBorrowed(borrowed: Uint8Array, start = 0, end = borrowed.length): void {
    const length = end - start;
    if (this.ended || this.closed || length === 0) return;
    if (length < SEND_AT_ONCE_BYTES && this.#canUseOutbox(length)) {
      const from = outboxEnd();
      appendRange(borrowed, start, end);
      this.#appended(from, length);
      return;
    }
    const bytes = length === borrowed.length ? borrowed : borrowed.subarray(start, end);
    if (length < SEND_AT_ONCE_BYTES || !this.connected || this.socket.writableLength > 0) {
      this.write(Buffer.from(bytes));
      return;
    }
    if (this.tls !== undefined) {
      this.flush();
      this.sentBytes += length;
      if (!this.ended) this.#seal(this.tls, bytes);
      return;
    }
    if (this.#queuedBytes > 0) this.#flushPlain(MSG_MORE);
    if (this.ended) return;
    this.sentBytes += length;
    const sent = this.socket.writableLength > 0 ? 0 : this.#sent(libc().send(this.fd, bytes, length, MSG_DONTWAIT_NOSIGNAL));
    if (sent >= 0 && sent < length) this.#writeRest(Buffer.from(bytes.subarray(sent)));
  }

  /** What is there of this connection must end where the outbox does. */
  #canUseOutbox(length: number): boolean {
    return this.connected && this.#queue === undefined && (this.#outboxFrom < 0 || this.#outboxTo === outboxEnd()) && fitsOutbox(length);
  }

  #append(chunk: Uint8Array | string): void {
    const from = outboxEnd();
    appendToOutbox(chunk);
    this.#appended(from, chunk.length);
  }

  #appended(from: number, length: number): void {
    if (this.#outboxFrom < 0) this.#outboxFrom = from;
    this.#outboxTo = from + length;
    this.#queuedBytes += length;
    this.sentBytes += length;
    if (!this.#isDirty) this.#markDirty();
  }

  protected forgetQueued(): void {
    this.#outboxFrom = this.#outboxTo = -1;
    this.#queue = undefined;
    this.#queuedBytes = 0;
  }

  /** What was written before it could be sent. */
  protected sendLater(): void {
    if (this.#queuedBytes > 0 && !this.#isDirty) this.#markDirty();
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
    if (this.#queuedBytes === 0 || !this.connected || this.closed) return;
    if (this.#queuedBytes > HIGH_WATER_BYTES) this.#wantsDrain = true;
    if (this.tls === undefined) this.#flushPlain(0);
    else this.#flushSealed(this.tls);
    if (this.#wantsDrain && this.socket.writableLength === 0) process.nextTick(this.#drained);
  }

  #flushSealed(tls: TlsSession): void {
    const from = this.#outboxFrom;
    const length = this.#outboxTo - from;
    if (this.#queue === undefined && length <= SEAL_AT_ONCE_BYTES) {
      this.forgetQueued();
      tls.sealAt(outboxAddress(from), length);
      this.sendSealed(tls);
    } else this.#seal(tls, this.#takeQueued());
  }

  /** Piece by piece: the session keeps memory for the largest that it ever held. */
  #seal(tls: TlsSession, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.socket.destroyed; at += SEAL_AT_ONCE_BYTES) {
      tls.seal(bytes.subarray(at, at + SEAL_AT_ONCE_BYTES));
      this.sendSealed(tls);
    }
  }

  /** What the session has to say: sent, or left to Node when the kernel takes no more. */
  protected sendSealed(tls: TlsSession): void {
    for (;;) {
      const length = tls.take(sealedAddress(), SEALED_BYTES);
      if (length === 0 || this.#isBroken || this.fd < 0) return;
      const canSend = this.socket.writableLength === 0;
      const sent = canSend ? this.#sent(libc().sendAt(this.fd, sealedAddress(), length, MSG_DONTWAIT_NOSIGNAL)) : 0;
      if (sent >= 0 && sent < length) this.#writeRest(sealedCopy(sent, length));
      if (length < SEALED_BYTES) return;
    }
  }

  #flushPlain(flags: number): void {
    const from = this.#outboxFrom;
    if (this.#queue !== undefined || this.socket.writableLength > 0 || this.fd < 0) {
      this.#flushQueued(flags);
      return;
    }
    const to = this.#outboxTo;
    this.forgetQueued();
    const sent = this.#sent(libc().sendAt(this.fd, outboxAddress(from), to - from, MSG_DONTWAIT_NOSIGNAL | flags));
    if (sent >= 0 && sent < to - from) this.#writeRest(outboxCopy(from + sent, to));
  }

  #flushQueued(flags: number): void {
    const bytes = this.#takeQueued();
    const canSend = this.socket.writableLength === 0 && this.fd >= 0;
    const sent = canSend ? this.#sent(libc().send(this.fd, bytes, bytes.length, MSG_DONTWAIT_NOSIGNAL | flags)) : 0;
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
    this.forgetQueued();
    return bytes;
  }

  /** Bytes that the kernel took, of what a send call answered; -1 when the connection is broken. */
  #sent(result: number): number {
    if (result >= 0) return result;
    const errno = libc().errno();
    if (errno === EAGAIN || errno === EINTR) return 0;
    const code = errnoName(errno);
    this.ended = this.#isBroken = true;
    this.blame(code, `send: ${code}`);
    // What the peer said before it went away (an early answer) may still wait to be read: in the next turn, after this one's end.
    setImmediate(() => setImmediate(() => this.close()));
    return -1;
  }

  #writeRest(bytes: Uint8Array): void {
    if (this.socket.writableLength + bytes.length > HIGH_WATER_BYTES) this.#wantsDrain = true;
    this.socket.write(bytes, this.#written);
  }

  readonly #written = (): void => {
    if (this.#wantsDrain && this.bufferedBytes === 0) this.#drained();
  };

  readonly #drained = (): void => {
    if (!this.#wantsDrain || this.closed || this.bufferedBytes > 0) return;
    this.#wantsDrain = false;
    this.drained();
  };
}
