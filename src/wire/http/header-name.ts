/**
 * Header names, interned: one object per name, made when configuration is compiled, so that a request is searched by a
 * number (a hash that the parser computes while it checks the name's characters) and never by building strings.
 */
export interface HeaderName {
  readonly lower: string;
  readonly hash: number;
  /** One bit of 32 each: a block that lacks a header with either of them does not have this one. */
  readonly bit: number;
  readonly otherBit: number;
  /** The line that was written last: most values are the same again and again (server, date, x-forwarded-proto). */
  lastValue: string;
  lastLine: string;
}

const interned = new Map<string, HeaderName>();
/** Names seen on the wire must not fill the table: only configuration and our own constants are interned. */
const INTERNED_LIMIT = 65_536;

/** One step of the hash over a name's bytes. Letters of either case give the same value. */
export function hashStep(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + (byte | 0x20)) | 0;
}

export function hashName(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
  return hash;
}

export function headerName(name: string): HeaderName {
  const lower = name.toLowerCase();
  const known = interned.get(lower);
  if (known !== undefined) return known;
  const made = uninternedName(lower);
  if (interned.size < INTERNED_LIMIT) interned.set(lower, made);
  return made;
}

/** For names from the wire, which must not fill the table. */
export function uninternedName(lower: string): HeaderName {
  const hash = hashName(lower);
  return { lower, hash, bit: bitOf(hash), otherBit: otherBitOf(hash), lastValue: "", lastLine: `${lower}: \r\n` };
}

/** "name: value" with CRLF. */
export function headerLine(name: HeaderName, value: string): string {
  // What is asked for a second time will be asked for again; what is never (an id) need not be made cheap to write.
  if (name.lastValue === value) return flat(name.lastLine);
  name.lastValue = value;
  return (name.lastLine = `${name.lower}: ${value}\r\n`);
}

/** Text that was glued together is copied into one piece when a character of it is asked for: then it is cheap to write. */
function flat(text: string): string {
  text.charCodeAt(0);
  return text;
}

export function bitOf(hash: number): number {
  return 1 << ((hash ^ (hash >> 5)) & 31);
}

export function otherBitOf(hash: number): number {
  return 1 << ((hash >> 10) & 31);
}

/** Does text[start..end) spell the lower-case `lower`, whatever its case? */
export function spells(text: string, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    let c = text.charCodeAt(start + i);
    if (c >= 65 && c <= 90) c |= 32;
    if (c !== lower.charCodeAt(i)) return false;
  }
  return true;
}
