/**
 * Header names, interned: one object per name, made when configuration is compiled, so that a request is searched by a
 * number (a hash that the parser computes while it checks the name's characters) and never by building strings.
 */
export interface HeaderName {
  readonly lower: string;
  readonly hash: number;
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
  const made: HeaderName = { lower, hash: hashName(lower) };
  if (interned.size < INTERNED_LIMIT) interned.set(lower, made);
  return made;
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
