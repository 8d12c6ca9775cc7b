/**
 * Which sockets can be read: one epoll descriptor of our own, watched by Node's loop (uv_poll). Node's way to read costs
 * about 1.2 us a read above the system call; this costs 0.2 us, and 2 us a turn for all sockets that are ready in it
 * (measured 2026-11). Sockets are still made, connected, accepted and closed by Node.
 *
 * A turn is three steps: all ready sockets are read, then what they said is handled, then what that wrote is sent. Going
 * to and fro between kernel and JavaScript for each socket instead costs 3 % more, because each drives the other's
 * instructions out of the processor's caches.
 *
 * Callbacks of C run on the main thread, in Node's own scope: ticks and promises go on as usual, but an error that leaves
 * one is lost, so it is thrown again in a turn of its own.
 */
import { foreign, lastError, libc } from "#host/real/libc.ts";
import { SLOT_BYTES, slotAddress, SLOTS } from "./memory.ts";

export interface Readable {
  /** It reads by itself, into more memory than a slot. */
  readonly readsMuch: boolean;
  /**
   * There was something to read: `length` bytes of it stand in `slot`; 0: the end; below 0: an errno; UNREAD. Not called
   * again for what is left (edge-triggered: asking the kernel a second time about each socket cost 3 % of a proxied
   * request): who does not take all says `readAgain`. `isLast`: the peer has closed its half, or the connection is broken.
   */
  received(slot: number, length: number, isLast: boolean): void;
}

/** Nothing was read, because the reader reads by itself. */
export const UNREAD = -65_536;
export const MSG_DONTWAIT = 0x40;

const UV_POLL = 8;
const UV_READABLE = 1;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLLIN = 1;
const EPOLLERR = 8;
const EPOLLHUP = 0x10;
const EPOLLRDHUP = 0x2000;
const EPOLLET = 0x8000_0000;
const ENDS = EPOLLERR | EPOLLHUP | EPOLLRDHUP;
const WANTED = EPOLLIN + EPOLLRDHUP + EPOLLET;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
/** struct epoll_event is packed on x86-64 only; its data is 64 bits of which we use the lower ones. */
const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
const DATA_OFFSET = process.arch === "x64" ? 4 : 8;
/** The same in words, for reading. */
const EVENT_WORDS = EVENT_BYTES / 4;
const DATA_WORD = DATA_OFFSET / 4;
/** Ready sockets served in one turn; more are served in the next one. */
const EVENTS = 256;

interface Calls {
  readonly epollFd: number;
  epoll_ctl(epollFd: number, operation: number, fd: number, event: Uint8Array): number;
  epoll_wait(epollFd: number, events: Uint8Array, count: number, timeoutMs: number): number;
  /** The process lives on while sockets are watched, as it does while Node reads one. */
  hold(): void;
  release(): void;
}

const event = Buffer.alloc(EVENT_BYTES);
const events = new Uint8Array(EVENT_BYTES * EVENTS);
const eventWords = new Int32Array(events.buffer);
/** By descriptor. Whoever closes one forgets it first; the kernel forgets closed ones by itself. */
const watched: (Readable | undefined)[] = [];
let watchedCount = 0;
let calls: Calls | undefined;
let turnEnd: () => void = () => undefined;
/** Ready sockets are being served: what they write leaves when all have been. */
let serving = false;

export function isServing(): boolean {
  return serving;
}

/** `run` is called when all sockets that are ready in a turn have been served. */
export function atTurnEnd(run: () => void): void {
  turnEnd = run;
}

/** False when the kernel refuses (no memory, too many watches): then nobody would hear of this socket. */
export function watch(fd: number, reader: Readable): boolean {
  const c = (calls ??= start());
  if (watched[fd] === reader) return true;
  if (c.epoll_ctl(c.epollFd, EPOLL_CTL_ADD, fd, eventOf(fd)) < 0) return false;
  if (watched[fd] === undefined && watchedCount++ === 0) c.hold();
  watched[fd] = reader;
  return true;
}

/** Whoever watches `fd` is called again, in the next turn, if there is still something to read. */
export function readAgain(fd: number): void {
  calls?.epoll_ctl(calls.epollFd, EPOLL_CTL_MOD, fd, eventOf(fd));
}

function eventOf(fd: number): Uint8Array {
  event.writeUInt32LE(WANTED, 0);
  event.writeInt32LE(fd, DATA_OFFSET);
  return event;
}

/** `closing`: the descriptor is about to be closed, or is closed. */
export function unwatch(fd: number, reader: Readable, closing: boolean): void {
  // A closed descriptor's number may be another socket's by now.
  if (watched[fd] !== reader || calls === undefined) return;
  watched[fd] = undefined;
  if (--watchedCount === 0) calls.release();
  if (!closing) calls.epoll_ctl(calls.epollFd, EPOLL_CTL_DEL, fd, event);
}

function serve(): void {
  if (calls === undefined) return;
  const count = calls.epoll_wait(calls.epollFd, events, EVENTS, 0);
  serving = true;
  for (let first = 0; first < count; first += SLOTS) serveSome(first, Math.min(count, first + SLOTS));
  serving = false;
  try {
    turnEnd();
  } catch (error) {
    throwLater(error);
  }
}

const readers = Array.from<Readable | undefined>({ length: SLOTS });
const lengths = new Int32Array(SLOTS);

function serveSome(first: number, behind: number): void {
  const { recvAt, errno } = libc();
  for (let i = first; i < behind; i++) {
    const slot = i - first;
    const fd = eventWords[i * EVENT_WORDS + DATA_WORD] ?? -1;
    const reader = (readers[slot] = watched[fd]);
    if (reader === undefined) continue;
    const length = reader.readsMuch ? UNREAD : recvAt(fd, slotAddress(slot), SLOT_BYTES, MSG_DONTWAIT);
    lengths[slot] = length === -1 ? -errno() : length;
  }
  for (let i = first; i < behind; i++) {
    const slot = i - first;
    try {
      readers[slot]?.received(slot, lengths[slot] ?? UNREAD, ((eventWords[i * EVENT_WORDS] ?? 0) & ENDS) !== 0);
    } catch (error) {
      throwLater(error);
    }
    readers[slot] = undefined;
  }
}

function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

function start(): Calls {
  const { koffi, declare } = foreign();
  koffi.proto("void weft_ready_callback(void *handle, int status, int events)");
  const uv_default_loop: () => unknown = declare("void *uv_default_loop()");
  const uv_handle_size: (kind: number) => number = declare("size_t uv_handle_size(int kind)");
  const uv_poll_init: (loop: unknown, handle: unknown, fd: number) => number = declare("int uv_poll_init(void *loop, void *handle, int fd)");
  const uv_poll_start: (handle: unknown, events: number, callback: unknown) => number = declare(
    "int uv_poll_start(void *handle, int events, weft_ready_callback *callback)",
  );
  const uv_ref: (handle: unknown) => void = declare("void uv_ref(void *handle)");
  const uv_unref: (handle: unknown) => void = declare("void uv_unref(void *handle)");
  const epoll_create1: (flags: number) => number = declare("int epoll_create1(int flags)");
  const epollFd = epoll_create1(EPOLL_CLOEXEC);
  if (epollFd < 0) throw lastError("sockets", "epoll_create1");
  const handle: unknown = koffi.alloc("char", uv_handle_size(UV_POLL));
  uv_poll_init(uv_default_loop(), handle, epollFd);
  uv_poll_start(handle, UV_READABLE, koffi.register(serve, koffi.pointer("weft_ready_callback")));
  uv_unref(handle);
  return {
    epollFd,
    epoll_ctl: declare("int epoll_ctl(int epollFd, int operation, int fd, void *event)"),
    epoll_wait: declare("int epoll_wait(int epollFd, void *events, int count, int timeoutMs)"),
    hold: () => uv_ref(handle),
    release: () => uv_unref(handle),
  };
}
