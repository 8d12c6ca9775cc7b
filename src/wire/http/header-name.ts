/**
 * Header names, interned: one object per name, made when configuration is compiled, so that a request is searched by a
 * number (a hash that the parser computes while it checks the name's characters) and never by building strings.
 */
import type { PieceOutput } from "./byte-output.ts";
import { inOnePiece } from "#lib/latin1.ts";

export interface HeaderName {
  readonly lower: string;
  readonly hash: number;
  /** One bit of 32 each: a block that lacks a header with either of them does not have this one. */
  readonly bit: number;
  readonly otherBit: number;
  /** "name: ", in one piece. */
  readonly start: string;
  /** Most values are the same again and again (server, date, x-forwarded-proto); "": the line of the last one is not made yet. */
  lastValue: string;
  lastLine: string;
  /** How many values in a row may still differ from the one before: then this name's are ids, and none is looked at again. */
  patience: number;
}

const interned = new Map<string, HeaderName>();
/** Names seen on the wire must not fill the table: only configuration and our own constants are interned. */
const INTERNED_LIMIT = 65_536;
const PATIENCE = 100;

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
  return { lower, hash, bit: bitOf(hash), otherBit: otherBitOf(hash), start: inOnePiece(`${lower}: `), lastValue: "", lastLine: "", patience: PATIENCE };
}

/** Writes "name: value" with CRLF. The line of a value that comes a second time is kept: it will come again. */
export function writeHeaderLine(output: PieceOutput, name: HeaderName, value: string): void {
  if (name.lastValue === value) {
    if (name.lastLine === "") name.lastLine = inOnePiece(`${name.lower}: ${value}\r\n`);
    name.patience = PATIENCE;
    output.write(name.lastLine);
    return;
  }
  if (name.patience > 0) {
    name.patience--;
    name.lastValue = value;
    name.lastLine = "";
  }
  output.write(name.start);
  output.write(value);
  output.write("\r\n");
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
