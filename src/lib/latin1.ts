/**
 * Octets as text, one character each, and back, by Node's own methods, taken once: the way over `toString` and `write` looks
 * their encoding up each time. Where a Node has no such methods, that way is gone.
 */

type Slice = (this: Uint8Array, start: number, end: number) => string;
type Write = (this: Uint8Array, text: string, at: number) => number;

function isSlice(value: unknown): value is Slice {
  return typeof value === "function";
}

function isWrite(value: unknown): value is Write {
  return typeof value === "function";
}

const ownSlice: unknown = Reflect.get(Buffer.prototype, "latin1Slice");
const ownWrite: unknown = Reflect.get(Buffer.prototype, "latin1Write");

const slice: Slice = isSlice(ownSlice)
  ? ownSlice
  : function (this: Uint8Array, start, end) {
      return Buffer.prototype.toString.call(this, "latin1", start, end);
    };

const write: Write = isWrite(ownWrite)
  ? ownWrite
  : function (this: Uint8Array, text, at) {
      return Buffer.prototype.write.call(this, text, at, "latin1");
    };

export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return slice.call(bytes, start, end);
}

/** `bytes` is a Buffer, as Node's own method wants. */
export function writeLatin1(bytes: Buffer, text: string, at: number): void {
  write.call(bytes, text, at);
}

/** The same text in one piece of memory: one that was glued together costs eight times as much to write (25 and 200 ns). */
export function inOnePiece(text: string): string {
  return latin1(Buffer.from(text, "latin1"), 0, text.length);
}
