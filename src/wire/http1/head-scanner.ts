/**
 * Reads start line and header lines from borrowed bytes, line by line, checking every octet once. A head that lies whole
 * in one read is never copied as bytes, and each octet is looked at once; a head that comes in pieces is collected in a
 * buffer of its own, and its lines are read when they are whole: work is linear in the bytes received.
 */
import { HeaderBlock } from "#wire/http/header-block.ts";
import { hashStep } from "#wire/http/header-name.ts";
import { latin1 } from "#lib/latin1.ts";
import { COLON, CR, DEL, HTAB, LF, OCTETS, SP, TOKEN } from "./octets.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";

export interface HeadLimits {
  /** Start line and header lines together. Envoy: max_request_headers_kb, 60 KiB by default. */
  readonly maxBytes: number;
  /** Envoy: max_headers_count, 100 by default. */
  readonly maxHeaders: number;
}

/** Reads bytes[start..end) as a start line (no CRLF); offsets are relative to `base`. */
export type StartLineReader = (bytes: Uint8Array, start: number, end: number, base: number) => Http1Problem | undefined;

export class HeadScanner {
  readonly block: HeaderBlock;
  problem: Http1Problem | undefined;
  /** Bytes of a head that is not whole yet. */
  #pending: Uint8Array | undefined;
  #pendingLength = 0;
  /** Start of the first line not yet read, and where the search for its LF goes on; relative to the head's first byte. */
  #line = 0;
  #search = 0;
  #started: boolean;
  readonly #limits: HeadLimits;
  readonly #readStartLine: StartLineReader | undefined;

  /** Without `readStartLine` it reads header lines only (trailers). */
  constructor(limits: HeadLimits, readStartLine: StartLineReader | undefined) {
    this.block = new HeaderBlock();
    this.#limits = limits;
    this.#readStartLine = readStartLine;
    this.#started = readStartLine === undefined;
  }

  reset(): void {
    this.block.reset();
    this.problem = undefined;
    this.#pendingLength = 0;
    this.#line = 0;
    this.#search = 0;
    this.#started = this.#readStartLine === undefined;
  }

  /** True when some bytes of a head have been taken. */
  get begun(): boolean {
    return this.#pendingLength > 0;
  }

  /** Takes bytes from `start`. Returns the position behind the head when it is whole; -1 when more is needed or `problem` is set. */
  read(bytes: Uint8Array, start: number): number {
    if (this.#pendingLength === 0) {
      const behind = this.#lines(bytes, start, bytes.length);
      if (behind < 0 && this.problem === undefined) this.#keep(bytes, start);
      return behind;
    }
    const before = this.#pendingLength;
    this.#keep(bytes, start);
    const pending = this.#pending;
    if (pending === undefined) return -1;
    const behind = this.#lines(pending, 0, this.#pendingLength);
    if (behind < 0) return -1;
    this.#pendingLength = 0;
    if (pending.length > 4096) this.#pending = undefined;
    return start + (behind - before);
  }

  #keep(bytes: Uint8Array, start: number): void {
    // One byte more than the limit is enough to know that the head is too large.
    const take = Math.min(bytes.length - start, this.#limits.maxBytes + 1 - this.#pendingLength);
    const needed = this.#pendingLength + take;
    if (this.#pending === undefined || this.#pending.length < needed) {
      const grown = new Uint8Array(Math.max(1024, needed * 2));
      if (this.#pending !== undefined) grown.set(this.#pending.subarray(0, this.#pendingLength));
      this.#pending = grown;
    }
    this.#pending.set(bytes.subarray(start, start + take), this.#pendingLength);
    this.#pendingLength = needed;
  }

  #fail(problem: Http1Problem): number {
    this.problem = problem;
    return -1;
  }

  #lines(bytes: Uint8Array, base: number, end: number): number {
    const limit = base + this.#limits.maxBytes;
    const block = this.block;
    // Of a head that comes in pieces a line is read when it is whole, so that no octet is looked at again and again.
    let search = this.#pendingLength > 0 ? base + this.#search : -1;
    let line = base + this.#line;
    for (;;) {
      if (search >= 0) {
        const lf = indexOfLf(bytes, search, end);
        if (lf < 0) return this.#more(line, { base, end, limit });
        search = lf + 1;
      }
      if (line + 1 < end && bytes[line] === CR && bytes[line + 1] === LF) {
        if (this.#started) {
          if (line + 1 >= limit) return this.#fail(PROBLEMS.headTooLarge);
          block.text = latin1(bytes, base, line + 2);
          block.lend(bytes, base);
          block.linesEnd = line - base;
          if (block.count === 0) block.linesStart = block.linesEnd;
          return line + 2;
        }
        // An empty line before the start line is skipped (RFC 9112 2.2).
        line += 2;
      } else {
        const next = this.#started ? this.#header(bytes, line, base, end) : this.#startLine(bytes, line, base, end);
        if (next < 0) {
          // Where the bytes were cut must not matter: also a bad line is refused when it is whole.
          const isWhole = search >= 0 || indexOfLf(bytes, line, end) >= 0;
          if (this.problem !== undefined && isWhole) return -1;
          this.problem = undefined;
          return this.#more(line, { base, end, limit });
        }
        if (next > limit) return this.#fail(PROBLEMS.headTooLarge);
        line = next;
      }
    }
  }

  /** The line at hand is not whole. */
  #more(line: number, { base, end, limit }: { base: number; end: number; limit: number }): number {
    if (end > limit) return this.#fail(PROBLEMS.headTooLarge);
    this.#line = line - base;
    this.#search = end - base;
    return -1;
  }

  /** Position of the next line; -1: not whole, or `problem`. */
  #startLine(bytes: Uint8Array, line: number, base: number, end: number): number {
    const lf = indexOfLf(bytes, line, end);
    if (lf < 0) return -1;
    if (lf === line || bytes[lf - 1] !== CR) return this.#fail(PROBLEMS.bareLf);
    const problem = this.#readStartLine?.(bytes, line, lf - 1, base);
    if (problem !== undefined) return this.#fail(problem);
    this.#started = true;
    this.block.linesStart = lf + 1 - base;
    return lf + 1;
  }

  #header(bytes: Uint8Array, line: number, base: number, end: number): number {
    let i = line;
    let hash = 0;
    let b = 0;
    const octets = OCTETS;
    while (i < end && ((octets[(b = bytes[i] ?? 0)] ?? 0) & TOKEN) !== 0) {
      hash = hashStep(hash, b);
      i++;
    }
    if (i === end || (b === CR && i + 1 === end)) return -1;
    if (b !== COLON || i === line) return this.#fail(badName(bytes, i, i > line));
    if (this.block.count >= this.#limits.maxHeaders) return this.#fail(PROBLEMS.tooManyHeaders);
    const nameEnd = i++;
    while (i < end && ((b = bytes[i] ?? 0) === SP || b === HTAB)) i++;
    const valueStart = i;
    // Visible octets and spaces first: a value is hardly anything else.
    while (i < end && (((b = bytes[i] ?? 0) >= SP && b !== DEL) || b === HTAB)) i++;
    if (i + 1 >= end) return i < end && b !== CR ? this.#fail(b === LF ? PROBLEMS.bareLf : PROBLEMS.badHeaderValue) : -1;
    if (b !== CR) return this.#fail(b === LF ? PROBLEMS.bareLf : PROBLEMS.badHeaderValue);
    if (bytes[i + 1] !== LF) return this.#fail(PROBLEMS.bareCr);
    let valueEnd = i;
    while (valueEnd > valueStart && ((b = bytes[valueEnd - 1] ?? 0) === SP || b === HTAB)) valueEnd--;
    this.block.mark(line - base, nameEnd - base, valueStart - base, valueEnd - base, hash);
    return i + 2;
  }
}

/** What is wrong where a name should end, at `i`. `some`: it has characters. */
function badName(bytes: Uint8Array, i: number, some: boolean): Http1Problem {
  const b = bytes[i] ?? 0;
  if (b === SP || b === HTAB) return some ? PROBLEMS.spaceBeforeColon : PROBLEMS.obsFold;
  if (b === LF) return PROBLEMS.bareLf;
  if (b === CR && !some) return PROBLEMS.bareCr;
  return b === CR && bytes[i + 1] === LF ? PROBLEMS.noColon : PROBLEMS.badHeaderName;
}

function indexOfLf(bytes: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) if (bytes[i] === LF) return i;
  return -1;
}
