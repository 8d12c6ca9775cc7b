/**
 * Netlink attributes (linux/netlink.h, struct nlattr): length, type, value, padded to four bytes. Integers are in the
 * machine's order, which is little-endian on every machine that we run on; those of nfnetlink are big-endian.
 */
const HEADER = 4;
const NLA_F_NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

export class AttributeWriter {
  #bytes = Buffer.alloc(256);
  #length = 0;

  #reserve(size: number): number {
    const at = this.#length;
    const end = at + size;
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(Math.max(size, this.#bytes.length))]);
    this.#length = end;
    return at;
  }

  /** Without an attribute header: the fixed part of a message. */
  raw(bytes: Uint8Array): this {
    const at = this.#reserve(align(bytes.length));
    this.#bytes.set(bytes, at);
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#reserve(align(HEADER + value.length));
    this.#bytes.writeUInt16LE(HEADER + value.length, at);
    this.#bytes.writeUInt16LE(type, at + 2);
    this.#bytes.set(value, at + HEADER);
    return this;
  }

  u8(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of(value));
  }

  u16be(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of((value >> 8) & 0xff, value & 0xff));
  }

  u32(type: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return this.bytes(type, bytes);
  }

  u32be(type: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value >>> 0);
    return this.bytes(type, bytes);
  }

  /** With its terminating zero. */
  text(type: number, value: string): this {
    return this.bytes(type, Buffer.from(`${value}\u0000`, "latin1"));
  }

  nested(type: number, fill: (inner: AttributeWriter) => void): this {
    const start = this.#reserve(HEADER);
    fill(this);
    this.#bytes.writeUInt16LE(this.#length - start, start);
    this.#bytes.writeUInt16LE(type | NLA_F_NESTED, start + 2);
    return this;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Attributes by type; of several with one type, the last. Stops at the first that does not fit. */
export function readAttributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let at = 0;
  while (at + HEADER <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < HEADER || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + HEADER, at + length));
    at += align(length);
  }
  return found;
}

/** Text up to its zero. */
export function textOf(value: Buffer | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return value.toString("latin1", 0, end < 0 ? value.length : end);
}

export function u32Of(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32LE(0);
}

export function align(length: number): number {
  return (length + 3) & ~3;
}

/** "0a:00:27:00:00:01". */
export function macOf(value: Buffer | undefined): string | undefined {
  return value?.length === 6 ? [...value].map((byte) => byte.toString(16).padStart(2, "0")).join(":") : undefined;
}

export function macBytes(mac: string): Uint8Array {
  if (!/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(mac)) throw new Error(`"${mac}" is not a MAC address such as 0a:00:27:00:00:01`);
  return Uint8Array.from(mac.split(":"), (part) => Number.parseInt(part, 16));
}
