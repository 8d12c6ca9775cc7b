/**
 * One TCP, Unix or TLS connection. Node makes, connects, accepts and closes the socket; bytes go past its streams.
 *
 * Sockets are read by recv(2) into memory that all connections share, when epoll says so (readiness.ts): bytes are
 * borrowed, nothing is allocated. How they leave is in sending.ts. TLS lies between as a session that turns bytes into
 * bytes (tls-session.ts).
 */
import type { Socket } from "node:net";
import type { Connection, ConnectionHandler, NetError, TlsServerContext } from "#host/net.ts";
import { errnoName, libc } from "#host/real/libc.ts";
import type { NodeFacts } from "./facts.ts";
import { isTlsSettings, type TlsSettings } from "./tls-context.ts";
import { proved } from "./tls-peer.ts";
import { BROKEN, ENDED, TlsSession } from "./tls-session.ts";
import { handleOf } from "./node-handle.ts";
import { SendingConnection } from "./sending.ts";
import { READ_BYTES, readAddress, readBytes, SLOT_BYTES, slotAddress, slotBytes } from "./memory.ts";
import { MSG_DONTWAIT, type Readable, readAgain, UNREAD, unwatch, watch } from "./readiness.ts";

/** Less than a plain socket is asked for: a session keeps memory for the largest piece that it was ever fed. */
const TLS_READ_BYTES = 65_536;
const EAGAIN = 11;
const EINTR = 4;

const noBytes = Buffer.alloc(0);

/** Options of a socket that Node makes, but does not read. */
export const SOCKET_OPTIONS = { allowHalfOpen: true, readable: true, writable: true, manualStart: true } as const;

export class NodeConnection extends SendingConnection implements Connection, Readable {
  readonly facts: NodeFacts;
  #handler: ConnectionHandler | undefined;
  #tlsSettings: TlsSettings | undefined;
  #askedServerName: string | undefined;
  #paused = false;
  #readsMuch = false;
  /** Read, and paused before it could be handed over. */
  #unread: Uint8Array | undefined;
  /** Our half is sent and closed; the peer's half is. */
  #finished = false;
  #peerEnded = false;
  /** The peer sends no more, but what it sent under TLS may not all be opened. */
  #sawEnd = false;
  /** Our own destroy is no error. */
  #destroyed = false;
  #error: NetError | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: { readonly connected: boolean; readonly facts: NodeFacts }) {
    super(socket, options.connected);
    this.facts = options.facts;
    if (options.connected) this.fd = handleOf(socket)?.fd ?? -1;
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  readonly #onError = (error: Error & { code?: string }): void => this.fail(error.code ?? "EIO", error.message);

  readonly #onClose = (): void => {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.#deadline);
    unwatch(this.fd, this, true);
    this.fd = -1;
    this.tls?.free();
    this.tls = undefined;
    this.forgetQueued();
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClose(this.#error);
  };

  handle(handler: ConnectionHandler): void {
    const isFirst = this.#handler === undefined;
    this.#handler = handler;
    if (isFirst && this.connected && !this.#paused && !this.closed) this.#read();
  }

  #read(): void {
    if (this.fd < 0 || this.#sawEnd || watch(this.fd, this)) return;
    const code = errnoName(libc().errno());
    this.fail(code, `epoll_ctl: ${code}`);
  }

  get readsMuch(): boolean {
    return this.#readsMuch;
  }

  /** A handshake goes on, whatever its owner wants to hear. */
  #isPaused(): boolean {
    return this.#paused && this.connected;
  }

  received(slot: number, length: number, isLast: boolean): void {
    if (this.#unread !== undefined) this.#takeUnread();
    // Another connection's handler may have closed this one after it was read, or paused it.
    if (this.fd < 0) return;
    if (length === UNREAD) return this.#readMuch(isLast);
    if (length > 0 && this.#isPaused()) {
      const bytes = slotBytes(slot, length).slice();
      // It may have been resumed and paused again before what was kept could be handed over.
      this.#unread = this.#unread === undefined ? bytes : Buffer.concat([this.#unread, bytes]);
      return;
    }
    // A short read has emptied the socket; only its end, if it has come, is still to be read.
    this.#readsMuch = length === SLOT_BYTES;
    if (this.#readsMuch || (isLast && length > 0)) readAgain(this.fd);
    if (length > 0) this.#take(slotBytes(slot, length), slotAddress(slot));
    else this.#readNothing(-length);
  }

  #readMuch(isLast: boolean): void {
    if (this.#isPaused()) return;
    const most = this.tls === undefined ? READ_BYTES : TLS_READ_BYTES;
    const length = libc().recvAt(this.fd, readAddress(), most, MSG_DONTWAIT);
    this.#readsMuch = length >= SLOT_BYTES;
    if (length === most || (isLast && length > 0)) readAgain(this.fd);
    if (length > 0) this.#take(readBytes(length), readAddress());
    else this.#readNothing(length < 0 ? libc().errno() : 0);
  }

  /** Bytes that stand at `address`. */
  #take(bytes: Uint8Array, address: number): void {
    if (this.tls === undefined) this.#handler?.onData(bytes);
    else if (!this.#peerEnded) {
      // What comes after the peer's close_notify means nothing, and would be kept by nobody but the session.
      this.tls.feedAt(address, bytes.length);
      this.#progress();
    }
  }

  /** What came before a pause that it did not know of. */
  #takeUnread(): void {
    const unread = this.#unread;
    if (unread === undefined || this.#isPaused() || this.fd < 0) return;
    this.#unread = undefined;
    if (this.tls === undefined) this.#handler?.onData(unread);
    else {
      this.tls.feed(unread);
      this.#progress();
    }
  }

  /** `errno` 0: the end. A pause is no reason not to hear of an error: it is told only once. */
  #readNothing(errno: number): void {
    if (errno === EINTR) readAgain(this.fd);
    else if (errno === 0) {
      // Who resumes reads it again.
      if (this.#isPaused()) return;
      this.#sawEnd = true;
      unwatch(this.fd, this, false);
      if (this.tls === undefined) this.#peerEnds();
      else this.#progress();
    } else if (errno !== EAGAIN) this.fail(errnoName(errno), `recv: ${errnoName(errno)}`);
  }

  #peerEnds(): void {
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    this.#handler?.onEnd?.();
    if (this.#finished) this.close();
  }

  /** As far as what has come from the peer allows: the handshake, then its bytes, then its end. */
  #progress(): void {
    if (!this.connected && !this.#handshake()) return;
    while (!this.#paused && !this.#peerEnded && !this.socket.destroyed && this.tls !== undefined) {
      const length = this.tls.open(readAddress(), READ_BYTES);
      if (length > 0) this.#handler?.onData(readBytes(length));
      else if (length === BROKEN) {
        const { code, message } = this.tls.failure();
        this.sendSealed(this.tls);
        return this.fail(code, message);
      } else if (length === ENDED || this.#sawEnd) this.#peerEnds();
      else return;
      if (length > 0 && !this.#sawEnd && this.tls?.hasMore !== true) return;
    }
  }

  /** True when it is done, and the peer is who it should be. */
  #handshake(): boolean {
    const tls = this.tls;
    const settings = this.#tlsSettings;
    if (tls === undefined || settings === undefined || this.socket.destroyed) return false;
    const step = tls.handshake();
    this.sendSealed(tls);
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
    this.connected = true;
    this.fd = handleOf(this.socket)?.fd ?? -1;
    if (this.#paused) unwatch(this.fd, this, false);
    else this.#read();
    this.#handler?.onConnect?.();
    if (this.socket.destroyed) return;
    if (this.ended) {
      this.flush();
      this.#finish();
    } else this.sendLater();
  }

  /** Gives up when it is not established by then. */
  failAfter(delayMs: number, message: string): void {
    this.#deadline = setTimeout(() => this.fail("ETIMEDOUT", message), delayMs);
  }

  /** What is written from now on is sealed, and waits until the handshake is done. */
  secure(settings: TlsSettings, serverName: string | undefined, unread: Uint8Array): void {
    this.connected = false;
    this.fd = handleOf(this.socket)?.fd ?? -1;
    this.#tlsSettings = settings;
    this.#askedServerName = serverName;
    this.tls = new TlsSession(settings.context.pointer, settings.kind === "tls-server" ? "server" : "client", serverName);
    this.tls.feed(unread);
    this.#read();
    // In a turn of its own: who calls this does not expect to hear of the outcome yet.
    setImmediate(() => this.#progress());
  }

  /** Ends the connection with an error; the first one is reported. */
  fail(code: string, message: string): void {
    this.blame(code, message);
    this.close();
  }

  protected blame(code: string, message: string): void {
    if (!this.#destroyed) this.#error ??= { code, message };
  }

  protected drained(): void {
    this.#handler?.onDrain?.();
  }

  /** The descriptor's number may be another socket's as soon as it is closed: nothing of this one uses it any more. */
  protected close(isReset = false): void {
    unwatch(this.fd, this, true);
    this.fd = -1;
    this.ended = true;
    if (isReset) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  pause(): void {
    this.#paused = true;
    if (this.connected) unwatch(this.fd, this, false);
  }

  resume(): void {
    this.#paused = false;
    if (!this.connected || this.#handler === undefined || this.closed) return;
    this.#read();
    if (this.#unread !== undefined) setImmediate(() => this.#takeUnread());
    if (this.tls !== undefined && (this.#sawEnd || this.tls.hasMore)) setImmediate(() => this.#progress());
  }

  end(): void {
    if (this.ended || this.closed) return;
    if (this.connected) this.flush();
    this.ended = true;
    if (this.connected) this.#finish();
  }

  #finish(): void {
    if (this.tls !== undefined) {
      this.tls.shutdown();
      this.sendSealed(this.tls);
    }
    this.socket.end(this.#sentEnd);
  }

  /** Node does not see the peer's end, so it does not close a socket that both have ended. */
  readonly #sentEnd = (): void => {
    this.#finished = true;
    if (this.#peerEnded) this.close();
  };

  destroy(reset = false): void {
    if (this.closed) return;
    this.#destroyed = true;
    this.forgetQueued();
    this.close(reset && !this.socket.connecting && handleOf(this.socket)?.setNoDelay !== undefined);
  }

  startTls(context: TlsServerContext, unread: Uint8Array = noBytes): void {
    if (this.closed) return;
    if (!isTlsSettings(context) || context.kind !== "tls-server") throw new TypeError("startTls wants a context of this host's tlsServer");
    this.secure(context, undefined, unread);
  }
}
