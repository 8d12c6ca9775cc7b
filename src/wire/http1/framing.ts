/** How long a message is (RFC 9112 6.3). The rules refuse whatever two parsers could read in two ways. */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { CONTENT_LENGTH, TRANSFER_ENCODING } from "#wire/http/names.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";

export const NO_BODY = 0;
export const CHUNKED = -1;
export const UNTIL_CLOSE = -2;
/** The head is refused; see `problem` of the framing. */
export const REFUSED = -3;

export interface Framing {
  /** A length, or one of the constants above. */
  length: number;
  problem: Http1Problem | undefined;
}

export function requestFraming(headers: HeaderBlock, version: number, out: Framing): void {
  out.problem = undefined;
  const encodings = headers.occurrences(TRANSFER_ENCODING);
  const lengths = headers.occurrences(CONTENT_LENGTH);
  if (encodings === 0 && lengths === 0) {
    out.length = NO_BODY;
    return;
  }
  framing(headers, { encodings, lengths, version }, out);
}

/** `bodyless`: answer to HEAD, or a status without body. */
export function responseFraming(headers: HeaderBlock, version: number, bodyless: boolean, out: Framing): void {
  out.problem = undefined;
  const encodings = headers.occurrences(TRANSFER_ENCODING);
  const lengths = headers.occurrences(CONTENT_LENGTH);
  if (encodings === 0 && lengths === 0) out.length = bodyless ? NO_BODY : UNTIL_CLOSE;
  else framing(headers, { encodings, lengths, version }, out);
  if (bodyless && out.problem === undefined) out.length = NO_BODY;
}

function framing(headers: HeaderBlock, seen: { encodings: number; lengths: number; version: number }, out: Framing): void {
  const refuse = (problem: Http1Problem): void => {
    out.problem = problem;
    out.length = REFUSED;
  };
  if (seen.encodings > 0) {
    if (seen.lengths > 0) return refuse(PROBLEMS.lengthAndEncoding);
    if (seen.version < 11) return refuse(PROBLEMS.encodingInHttp10);
    if (seen.encodings > 1 || headers.get(TRANSFER_ENCODING)?.toLowerCase() !== "chunked") return refuse(PROBLEMS.badTransferEncoding);
    out.length = CHUNKED;
    return;
  }
  const length = seen.lengths === 1 ? decimal(headers.get(CONTENT_LENGTH) ?? "") : -1;
  if (length < 0) return refuse(PROBLEMS.badContentLength);
  out.length = length;
}

/** -1 when it is not 1 to 15 digits (15 digits stay below 2^53). */
function decimal(text: string): number {
  if (text.length === 0 || text.length > 15) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
