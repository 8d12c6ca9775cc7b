/** Bytes -> message. Every truncation and every lie about a length is a DnsFormatError. */
import { formatIp, ipFromBytes } from "#lib/ip.ts";
import { DnsFormatError, TYPES, type DnsMessage, type Edns, type Question, type RecordData, type ResourceRecord } from "./message.ts";
import { decodeName } from "./name.ts";

export function decodeMessage(bytes: Uint8Array): DnsMessage {
  const reader = new Reader(bytes);
  const id = reader.u16();
  const flags = reader.u16();
  const counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16()] as const;
  const questions = list(counts[0], (): Question => ({ name: reader.name(), type: reader.u16(), class: reader.u16() }));
  let edns: Edns | undefined;
  let extendedRcode = 0;
  const records = (count: number, isAdditional: boolean) =>
    list(count, () => reader.record()).filter((record) => {
      if (record.data.type !== "unknown" || record.data.number !== TYPES.OPT) return true;
      if (!isAdditional || edns !== undefined || record.name !== "") throw new DnsFormatError("an OPT record stands where none may (RFC 6891 6.1.1)");
      edns = { udpSizeBytes: record.class, version: (record.ttlSeconds >>> 16) & 0xff, dnssecOk: (record.ttlSeconds & 0x8000) !== 0 };
      extendedRcode = record.ttlSeconds >>> 24;
      return false;
    });
  const answers = records(counts[1], false);
  const authorities = records(counts[2], false);
  const additionals = records(counts[3], true);
  return {
    id,
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    authoritative: (flags & 0x400) !== 0,
    truncated: (flags & 0x200) !== 0,
    recursionDesired: (flags & 0x100) !== 0,
    recursionAvailable: (flags & 0x80) !== 0,
    authenticData: (flags & 0x20) !== 0,
    checkingDisabled: (flags & 0x10) !== 0,
    rcode: (extendedRcode << 4) | (flags & 15),
    questions,
    answers,
    authorities,
    additionals,
    edns,
  };
}

function list<T>(count: number, read: () => T): T[] {
  const items: T[] = [];
  // Not Array.from with the count: a lie about it must not allocate.
  for (let i = 0; i < count; i += 1) items.push(read());
  return items;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }
  name(): string {
    const { name, end } = decodeName(this.#bytes, this.#at);
    this.#at = end;
    return name;
  }
  /** A copy: messages outlive the buffer they came in. */
  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.slice(start, start + length);
  }

  record(): ResourceRecord {
    const name = this.name();
    const type = this.u16();
    const recordClass = this.u16();
    const ttlSeconds = this.u32();
    const length = this.u16();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new DnsFormatError(`record data at byte ${this.#at} ends after the message`);
    const data = this.#data(type, length);
    if (this.#at !== end) throw new DnsFormatError(`record of type ${type} has ${length} bytes of data but uses ${this.#at - end + length}`);
    return { name, class: recordClass, ttlSeconds, data };
  }

  #data(type: number, length: number): RecordData {
    switch (type) {
      case TYPES.A:
        return { type: "A", address: this.#address(4) };
      case TYPES.AAAA:
        return { type: "AAAA", address: this.#address(16) };
      case TYPES.CNAME:
        return { type: "CNAME", target: this.name() };
      case TYPES.NS:
        return { type: "NS", target: this.name() };
      case TYPES.PTR:
        return { type: "PTR", target: this.name() };
      case TYPES.SRV:
        return { type: "SRV", priority: this.u16(), weight: this.u16(), port: this.u16(), target: this.name() };
      case TYPES.MX:
        return { type: "MX", preference: this.u16(), exchange: this.name() };
      case TYPES.TXT:
        return { type: "TXT", texts: this.#texts(this.#at + length) };
      case TYPES.SOA:
        return {
          type: "SOA",
          primary: this.name(),
          mailbox: this.name(),
          serial: this.u32(),
          refresh: this.u32(),
          retry: this.u32(),
          expire: this.u32(),
          minimum: this.u32(),
        };
      default:
        return { type: "unknown", number: type, bytes: this.bytes(length) };
    }
  }

  #address(length: 4 | 16): string {
    const address = ipFromBytes(this.bytes(length));
    if (address === undefined) throw new DnsFormatError("an address has a wrong length");
    return formatIp(address);
  }

  #texts(end: number): Uint8Array[] {
    const texts: Uint8Array[] = [];
    while (this.#at < end) texts.push(this.bytes(this.u8()));
    return texts;
  }

  #take(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) throw new DnsFormatError(`message ends at byte ${this.#bytes.length}, but ${length} more are needed at ${start}`);
    this.#at += length;
    return start;
  }
}
