/** Reads `HTTP/1.x SP CODE [SP reason]` (RFC 9112 4). */
import { OCTETS, SP, VALUE } from "./octets.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";
import { httpVersion } from "./request-line.ts";

export class StatusLine {
  status = 0;
  version = 11;

  readonly read = (bytes: Uint8Array, start: number, end: number): Http1Problem | undefined => {
    // "HTTP/1.1 200" is 12 octets; the space behind it may be missing.
    const version = end - start >= 12 ? httpVersion(bytes, start) : 0;
    if (version <= 0 || bytes[start + 8] !== SP) return PROBLEMS.badStatusLine;
    let status = 0;
    for (let i = start + 9; i < start + 12; i++) {
      const digit = (bytes[i] ?? 0) - 48;
      if (digit < 0 || digit > 9) return PROBLEMS.badStatusLine;
      status = status * 10 + digit;
    }
    if (status < 100 || (end > start + 12 && bytes[start + 12] !== SP)) return PROBLEMS.badStatusLine;
    for (let i = start + 12; i < end; i++) if (((OCTETS[bytes[i] ?? 0] ?? 0) & VALUE) === 0) return PROBLEMS.badStatusLine;
    this.version = version;
    this.status = status;
    return undefined;
  };
}
