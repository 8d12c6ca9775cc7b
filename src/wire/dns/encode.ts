/** Message -> bytes, names compressed. What does not fit is cut at a record and marked truncated (RFC 2181 9). */
import { ip, ipBytes } from "#lib/ip.ts";
import { typeNumber, TYPES, type DnsMessage, type RecordData, type ResourceRecord } from "./message.ts";
import { labelsOf } from "./name.ts";

/** `maxBytes`: 512 by UDP without EDNS, what the client said with it, 65535 by TCP. */
export function encodeMessage(message: DnsMessage, maxBytes = 65535): Uint8Array {
  const writer = new Writer(maxBytes - (message.edns === undefined ? 0 : OPT_BYTES));
  writer.header(message);
  for (const question of message.questions) {
    writer.name(question.name);
    writer.u16(question.type);
    writer.u16(question.class);
  }
  // Additional records may be left out silently, others not (RFC 2181 9).
  const whole = writer.section(6, message.answers) && writer.section(8, message.authorities);
  if (!whole) writer.markTruncated();
  else writer.section(10, message.additionals);
  if (message.edns !== undefined) writer.opt(message.edns, message.rcode);
  return writer.done();
}

/** Root name, type, class, ttl, length. */
const OPT_BYTES = 11;

class Writer {
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  readonly #limit: number;
  /** Suffixes already written, in lower case, with their offsets. */
  readonly #suffixes = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  header(message: DnsMessage): void {
    this.u16(message.id);
    const flags: [boolean, number][] = [
      [message.response, 0x8000],
      [message.authoritative, 0x400],
      [message.truncated, 0x200],
      [message.recursionDesired, 0x100],
      [message.recursionAvailable, 0x80],
      [message.authenticData, 0x20],
      [message.checkingDisabled, 0x10],
    ];
    this.u16(flags.reduce((sum, [set, bit]) => (set ? sum | bit : sum), ((message.opcode & 15) << 11) | (message.rcode & 15)));
    this.u16(message.questions.length);
    this.u16(0);
    this.u16(0);
    this.u16(0);
  }

  /** Writes records while they fit and counts them at `countAt`. Answers whether all fit. */
  section(countAt: number, records: readonly ResourceRecord[]): boolean {
    for (const [i, record] of records.entries()) {
      const start = this.#at;
      this.#record(record);
      if (this.#at > this.#limit) {
        this.#at = start;
        for (const [suffix, offset] of this.#suffixes) if (offset >= start) this.#suffixes.delete(suffix);
        return false;
      }
      this.#view.setUint16(countAt, i + 1);
    }
    return true;
  }

  markTruncated(): void {
    this.#view.setUint8(2, this.#view.getUint8(2) | 2);
  }

  opt(edns: { readonly udpSizeBytes: number; readonly version: number; readonly dnssecOk: boolean }, rcode: number): void {
    this.u8(0);
    this.u16(TYPES.OPT);
    this.u16(edns.udpSizeBytes);
    this.u8(rcode >> 4);
    this.u8(edns.version);
    this.u16(edns.dnssecOk ? 0x8000 : 0);
    this.u16(0);
    this.#view.setUint16(10, this.#view.getUint16(10) + 1);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  u8(value: number): void {
    this.#grow(1);
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }
  u16(value: number): void {
    this.#grow(2);
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
  }
  u32(value: number): void {
    this.#grow(4);
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
  }
  bytes(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  name(name: string, compress = true): void {
    const labels = labelsOf(name);
    for (const [i, label] of labels.entries()) {
      const suffix = labels
        .slice(i)
        .map((each) => Buffer.from(each).toString("latin1").toLowerCase().replaceAll(".", "\\."))
        .join(".");
      const known = this.#suffixes.get(suffix);
      if (compress && known !== undefined) return this.u16(0xc000 | known);
      // A pointer has 14 bits.
      if (known === undefined && this.#at < 0x4000) this.#suffixes.set(suffix, this.#at);
      this.u8(label.length);
      this.bytes(label);
    }
    this.u8(0);
  }

  #record(record: ResourceRecord): void {
    this.name(record.name);
    this.u16(typeNumber(record.data));
    this.u16(record.class);
    this.u32(record.ttlSeconds);
    this.u16(0);
    const start = this.#at;
    this.#data(record.data);
    this.#view.setUint16(start - 2, this.#at - start);
  }

  #data(data: RecordData): void {
    switch (data.type) {
      case "A":
      case "AAAA":
        return this.bytes(ipBytes(ip(data.address)));
      case "CNAME":
      case "NS":
      case "PTR":
        return this.name(data.target);
      case "SRV":
        this.u16(data.priority);
        this.u16(data.weight);
        this.u16(data.port);
        // RFC 2782: no compression in the target.
        return this.name(data.target, false);
      case "MX":
        this.u16(data.preference);
        return this.name(data.exchange);
      case "TXT":
        for (const text of data.texts) {
          this.u8(text.length);
          this.bytes(text);
        }
        return;
      case "SOA":
        this.name(data.primary);
        this.name(data.mailbox);
        for (const value of [data.serial, data.refresh, data.retry, data.expire, data.minimum]) this.u32(value);
        return;
      case "unknown":
        return this.bytes(data.bytes);
    }
  }

  #grow(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + length));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
