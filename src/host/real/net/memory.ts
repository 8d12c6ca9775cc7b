/**
 * Pieces of memory that all plain sockets of the process share, so that a system call is given an address and no
 * object: where what is read stands while its handler looks at it (a slot for each of the sockets that are read together,
 * one large piece for those that have much to say), and where a turn of the event loop gathers what it writes.
 */
import { nativeMemory } from "#host/real/libc.ts";

/** Larger reads need fewer turns; 256 KiB measured best for bodies, and still fits a second-level cache. */
export const READ_BYTES = 262_144;
/** Small answers of a few hundred connections; what does not fit is queued by its connection. */
const OUTBOX_BYTES = 262_144;
/** What TLS made of it, on its way to the kernel: four records of the largest size. */
export const SEALED_BYTES = 66_560;
/** Sockets that are read one after the other before what came is looked at, and how much of each. */
export const SLOTS = 64;
export const SLOT_BYTES = 4544;
/** Longer views of slots are not kept: most reads are short, and requests of one client have one length. */
const KEPT_VIEW_BYTES = 1024;
/** Then all are forgotten. */
const MOST_KEPT_VIEWS = 4096;

interface Memory {
  /** Not a Buffer: whoever keeps bytes takes `slice()` of them, which copies here and would not there. */
  readonly read: Uint8Array;
  readonly readAddress: number;
  readonly slots: Uint8Array;
  readonly slotsAddress: number;
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
/** By slot and length. */
const views = Array.from<Uint8Array | undefined>({ length: SLOTS * KEPT_VIEW_BYTES });
let keptViews = 0;
let end = 0;

function allocate(): Memory {
  const read = nativeMemory(READ_BYTES);
  const slots = nativeMemory(SLOTS * SLOT_BYTES);
  const outbox = nativeMemory(OUTBOX_BYTES);
  const sealed = nativeMemory(SEALED_BYTES);
  return {
    read: new Uint8Array(read.bytes),
    readAddress: read.address,
    slots: new Uint8Array(slots.bytes),
    slotsAddress: slots.address,
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
  return (memory ??= allocate()).read.subarray(0, length);
}

export function slotAddress(slot: number): number {
  return (memory ??= allocate()).slotsAddress + slot * SLOT_BYTES;
}

/** The first `length` bytes of a slot. */
export function slotBytes(slot: number, length: number): Uint8Array {
  const { slots } = (memory ??= allocate());
  const start = slot * SLOT_BYTES;
  if (length >= KEPT_VIEW_BYTES) return slots.subarray(start, start + length);
  const index = slot * KEPT_VIEW_BYTES + length;
  const kept = views[index];
  if (kept !== undefined) return kept;
  if (keptViews++ === MOST_KEPT_VIEWS) {
    views.fill(undefined);
    keptViews = 1;
  }
  return (views[index] = slots.subarray(start, start + length));
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

/** Few bytes; must fit. */
export function appendRange(bytes: Uint8Array, start: number, behind: number): void {
  const { outbox } = (memory ??= allocate());
  let at = end;
  for (let i = start; i < behind; i++) outbox[at++] = bytes[i] ?? 0;
  end = at;
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
