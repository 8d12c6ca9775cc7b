/**
 * Pieces of memory that all plain sockets of the process share, so that a system call is given an address and no
 * object: where what is read stands while its handler looks at it, and where a turn of the event loop gathers what it
 * writes.
 */
import { nativeMemory } from "#host/real/libc.ts";

/** Larger reads need fewer turns; 256 KiB measured best for bodies, and still fits a second-level cache. */
export const READ_BYTES = 262_144;
/** Small answers of a few hundred connections; what does not fit is queued by its connection. */
const OUTBOX_BYTES = 262_144;
/** What TLS made of it, on its way to the kernel: four records of the largest size. */
export const SEALED_BYTES = 66_560;
/** Longer views are not kept: most reads are short, and requests of one client have one length. */
const KEPT_VIEWS = 4096;

interface Memory {
  /** Not a Buffer: whoever keeps bytes takes `slice()` of them, which copies here and would not there. */
  readonly read: Uint8Array;
  readonly readAddress: number;
  readonly outbox: Buffer;
  readonly outboxAddress: number;
  readonly sealed: Buffer;
  readonly sealedAddress: number;
}

/** Node's own method, taken once: the way over `write` looks its encoding up each time. */
const own: unknown = Reflect.get(Buffer.prototype, "latin1Write");

type Latin1Write = (this: Uint8Array, text: string, at: number) => number;

function isLatin1Write(value: unknown): value is Latin1Write {
  return typeof value === "function";
}

const writeLatin1: Latin1Write = isLatin1Write(own)
  ? own
  : function (this: Uint8Array, text, at) {
      return Buffer.prototype.write.call(this, text, at, "latin1");
    };

let memory: Memory | undefined;
const views: (Uint8Array | undefined)[] = [];
let end = 0;

function allocate(): Memory {
  const read = nativeMemory(READ_BYTES);
  const outbox = nativeMemory(OUTBOX_BYTES);
  const sealed = nativeMemory(SEALED_BYTES);
  return {
    read: new Uint8Array(read.bytes),
    readAddress: read.address,
    outbox: Buffer.from(outbox.bytes),
    outboxAddress: outbox.address,
    sealed: Buffer.from(sealed.bytes),
    sealedAddress: sealed.address,
  };
}

export function readAddress(): number {
  return (memory ??= allocate()).readAddress;
}

/** The first `length` bytes that were read. */
export function readBytes(length: number): Uint8Array {
  const { read } = (memory ??= allocate());
  return length < KEPT_VIEWS ? (views[length] ??= read.subarray(0, length)) : read.subarray(0, length);
}

/** Where the next bytes go. */
export function outboxEnd(): number {
  return end;
}

export function fitsOutbox(length: number): boolean {
  return end + length <= OUTBOX_BYTES;
}

/** Must fit. Strings are latin1. */
export function appendToOutbox(chunk: Uint8Array | string): void {
  const { outbox } = (memory ??= allocate());
  if (typeof chunk === "string") writeLatin1.call(outbox, chunk, end);
  else outbox.set(chunk, end);
  end += chunk.length;
}

export function outboxAddress(at: number): number {
  return (memory ??= allocate()).outboxAddress + at;
}

export function outboxCopy(from: number, to: number): Buffer {
  return Buffer.from((memory ??= allocate()).outbox.subarray(from, to));
}

export function sealedAddress(): number {
  return (memory ??= allocate()).sealedAddress;
}

export function sealedCopy(from: number, to: number): Buffer {
  return Buffer.from((memory ??= allocate()).sealed.subarray(from, to));
}

/** All connections have sent, or copied, what was theirs. */
export function emptyOutbox(): void {
  end = 0;
}
