/**
 * Memory that all plain sockets of the process share, in one piece, so that a system call is given an address and no
 * object: where what is read stands while its handler looks at it (a slot for each of the sockets that are read together,
 * one large piece for those that have much to say), and where a turn of the event loop gathers what it writes.
 */
import { nativeMemory } from "#host/real/libc.ts";
import { writeLatin1 } from "#lib/latin1.ts";

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
  readonly address: number;
  readonly buffer: ArrayBuffer;
  /** Not a Buffer: whoever keeps bytes takes `slice()` of them, which copies here and would not there. */
  readonly bytes: Uint8Array;
  /** For writing text. */
  readonly text: Buffer;
}

const READ_AT = 0;
const SLOTS_AT = READ_AT + READ_BYTES;
const OUTBOX_AT = SLOTS_AT + SLOTS * SLOT_BYTES;
const SEALED_AT = OUTBOX_AT + OUTBOX_BYTES;
const ALL_BYTES = SEALED_AT + SEALED_BYTES;

let memory: Memory | undefined;
/** By slot and length. */
const views = Array.from<Uint8Array | undefined>({ length: SLOTS * KEPT_VIEW_BYTES });
let keptViews = 0;
let end = 0;

function allocate(): Memory {
  const { bytes: buffer, address } = nativeMemory(ALL_BYTES);
  return { address, buffer, bytes: new Uint8Array(buffer), text: Buffer.from(buffer) };
}

function all(): Memory {
  return (memory ??= allocate());
}

export function readAddress(): number {
  return all().address + READ_AT;
}

/** The first `length` bytes that were read. */
export function readBytes(length: number): Uint8Array {
  return all().bytes.subarray(READ_AT, READ_AT + length);
}

export function slotAddress(slot: number): number {
  return all().address + SLOTS_AT + slot * SLOT_BYTES;
}

/** The first `length` bytes of a slot. */
export function slotBytes(slot: number, length: number): Uint8Array {
  const { bytes } = all();
  const start = SLOTS_AT + slot * SLOT_BYTES;
  if (length >= KEPT_VIEW_BYTES) return bytes.subarray(start, start + length);
  const index = slot * KEPT_VIEW_BYTES + length;
  const kept = views[index];
  if (kept !== undefined) return kept;
  if (keptViews++ === MOST_KEPT_VIEWS) {
    views.fill(undefined);
    keptViews = 1;
  }
  return (views[index] = bytes.subarray(start, start + length));
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
  if (typeof chunk === "string") {
    writeLatin1(all().text, chunk, OUTBOX_AT + end);
    end += chunk.length;
  } else appendRange(chunk, 0, chunk.length);
}

/** Must fit. What was read from a socket stands in the same memory, and is copied without a view of it (27 ns and 47 ns). */
export function appendRange(bytes: Uint8Array, start: number, behind: number): void {
  const { buffer, bytes: target } = all();
  if (bytes.buffer === buffer) {
    const from = bytes.byteOffset;
    target.copyWithin(OUTBOX_AT + end, from + start, from + behind);
  } else target.set(bytes.subarray(start, behind), OUTBOX_AT + end);
  end += behind - start;
}

export function outboxAddress(at: number): number {
  return all().address + OUTBOX_AT + at;
}

export function outboxCopy(from: number, to: number): Buffer {
  return Buffer.from(all().bytes.subarray(OUTBOX_AT + from, OUTBOX_AT + to));
}

export function sealedAddress(): number {
  return all().address + SEALED_AT;
}

export function sealedCopy(from: number, to: number): Buffer {
  return Buffer.from(all().bytes.subarray(SEALED_AT + from, SEALED_AT + to));
}

/** All connections have sent, or copied, what was theirs. */
export function emptyOutbox(): void {
  end = 0;
}
