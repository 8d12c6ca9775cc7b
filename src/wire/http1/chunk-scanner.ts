/** Reads `chunk-size [ chunk-ext ] CRLF` (RFC 9112 7.1), octet by octet, so that it may be cut anywhere. */
import { CR, HTAB, LF, OCTETS, SP, VALUE } from "./octets.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";

const SEMICOLON = 59;
/** 12 hexadecimal digits stay below 2^53. */
const MAX_DIGITS = 12;
/** Extensions mean nothing to a proxy; more than this is an attack (CVE-2023-39326 and its like). */
const MAX_EXTENSION_BYTES = 1024;

const DIGITS = 0;
const EXTENSION = 1;
const LINE_END = 2;

export class ChunkScanner {
  size = 0;
  problem: Http1Problem | undefined;
  #phase = DIGITS;
  #digits = 0;
  #extensionBytes = 0;

  reset(): void {
    this.size = 0;
    this.problem = undefined;
    this.#phase = DIGITS;
    this.#digits = 0;
    this.#extensionBytes = 0;
  }

  /** Position behind the line, or -1 when more is needed or `problem` is set. */
  read(bytes: Uint8Array, start: number): number {
    for (let i = start; i < bytes.length; i++) {
      const b = bytes[i] ?? 0;
      if (this.#phase === LINE_END) {
        if (b === LF) return i + 1;
        return this.#fail(PROBLEMS.bareCr);
      }
      if (b === CR) {
        if (this.#digits === 0) return this.#fail(PROBLEMS.badChunkSize);
        this.#phase = LINE_END;
      } else if (this.#phase === DIGITS) {
        const digit = hexDigit(b);
        if (digit >= 0) {
          if (++this.#digits > MAX_DIGITS) return this.#fail(PROBLEMS.badChunkSize);
          this.size = this.size * 16 + digit;
        } else if (b === SEMICOLON && this.#digits > 0) this.#phase = EXTENSION;
        else return this.#fail(b === LF ? PROBLEMS.bareLf : PROBLEMS.badChunkSize);
      } else {
        if (b === LF) return this.#fail(PROBLEMS.bareLf);
        if (((OCTETS[b] ?? 0) & VALUE) === 0 && b !== SP && b !== HTAB) return this.#fail(PROBLEMS.badChunkSize);
        if (++this.#extensionBytes > MAX_EXTENSION_BYTES) return this.#fail(PROBLEMS.chunkExtensionTooLarge);
      }
    }
    return -1;
  }

  #fail(problem: Http1Problem): number {
    this.problem = problem;
    return -1;
  }
}

function hexDigit(b: number): number {
  if (b >= 48 && b <= 57) return b - 48;
  const letter = b | 0x20;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
