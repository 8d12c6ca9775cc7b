/**
 * Reads start line and header lines from borrowed bytes, line by line, checking every octet once. A head that lies whole
 * in one read is never copied as bytes; a head that comes in pieces is collected in a buffer of its own. Work is linear
 * in the bytes received: a line is looked at when it is whole, and the search for its end goes on where it stopped.
 */
import { HeaderBlock } from "#wire/http/header-block.ts";
import { hashStep } from "#wire/http/header-name.ts";
import { latin1 } from "./latin1.ts";
import { COLON, CR, HTAB, LF, OCTETS, SP, TOKEN, VALUE } from "./octets.ts";
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
    let line = base + this.#line;
    let search = base + this.#search;
    for (;;) {
      const lf = indexOfLf(bytes, search, end);
      if (lf < 0 || lf >= limit) {
        if (end > limit || lf >= limit) return this.#fail(PROBLEMS.headTooLarge);
        this.#line = line - base;
        this.#search = end - base;
        return -1;
      }
      if (lf === line || bytes[lf - 1] !== CR) return this.#fail(PROBLEMS.bareLf);
      if (lf === line + 1) {
        if (this.#started) {
          block.text = latin1(bytes, base, lf + 1);
          block.linesEnd = line - base;
          if (block.count === 0) block.linesStart = block.linesEnd;
          return lf + 1;
        }
        // An empty line before the start line is skipped (RFC 9112 2.2).
      } else if (this.#started) {
        if (block.count >= this.#limits.maxHeaders) return this.#fail(PROBLEMS.tooManyHeaders);
        if (block.count === 0) block.linesStart = line - base;
        const problem = this.#header(bytes, line, lf - 1, base);
        if (problem !== undefined) return this.#fail(problem);
      } else {
        const problem = this.#readStartLine?.(bytes, line, lf - 1, base);
        if (problem !== undefined) return this.#fail(problem);
        this.#started = true;
      }
      line = search = lf + 1;
    }
  }

  #header(bytes: Uint8Array, start: number, end: number, base: number): Http1Problem | undefined {
    let i = start;
    let hash = 0;
    let b = bytes[i] ?? 0;
    if (b === SP || b === HTAB) return PROBLEMS.obsFold;
    while (i < end && ((OCTETS[(b = bytes[i] ?? 0)] ?? 0) & TOKEN) !== 0) {
      hash = hashStep(hash, b);
      i++;
    }
    if (i === end) return PROBLEMS.noColon;
    if (b !== COLON) return (b === SP || b === HTAB) && i > start ? PROBLEMS.spaceBeforeColon : PROBLEMS.badHeaderName;
    if (i === start) return PROBLEMS.badHeaderName;
    const nameEnd = i++;
    while (i < end && (bytes[i] === SP || bytes[i] === HTAB)) i++;
    const valueStart = i;
    for (; i < end; i++) {
      if (((OCTETS[bytes[i] ?? 0] ?? 0) & VALUE) === 0) return bytes[i] === CR ? PROBLEMS.bareCr : PROBLEMS.badHeaderValue;
    }
    let valueEnd = end;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    this.block.mark(start - base, nameEnd - base, valueStart - base, valueEnd - base, hash);
    return undefined;
  }
}

function indexOfLf(bytes: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) if (bytes[i] === LF) return i;
  return -1;
}
