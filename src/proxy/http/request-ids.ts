/**
 * UUIDs for x-request-id. They are made by the hundred: random bytes become one flat text, and an id is a slice of it, so
 * that a request neither calls the host nor glues pieces together.
 */
import type { Random } from "#host/random.ts";

const IDS_PER_BLOCK = 256;
const TEXT_LENGTH = 36;
const HEX = new TextEncoder().encode("0123456789abcdef");
const DASH = 45;

export class RequestIds {
  readonly #random: Random;
  readonly #bytes = new Uint8Array(IDS_PER_BLOCK * 16);
  #text = "";
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): string {
    if (this.#at >= this.#text.length) {
      this.#random.fill(this.#bytes);
      this.#text = uuids(this.#bytes);
      this.#at = 0;
    }
    const id = this.#text.slice(this.#at, this.#at + TEXT_LENGTH);
    this.#at += TEXT_LENGTH;
    return id;
  }
}

/** RFC 9562 version 4, one after the other without a separator. */
function uuids(random: Uint8Array): string {
  const out = Buffer.alloc((random.length / 16) * TEXT_LENGTH);
  let at = 0;
  for (let i = 0; i < random.length; i++) {
    const octet = i % 16;
    let byte = random[i] ?? 0;
    if (octet === 6) byte = (byte & 0x0f) | 0x40;
    if (octet === 8) byte = (byte & 0x3f) | 0x80;
    if (octet === 4 || octet === 6 || octet === 8 || octet === 10) out[at++] = DASH;
    out[at++] = HEX[byte >> 4] ?? 0;
    out[at++] = HEX[byte & 15] ?? 0;
  }
  return out.toString("latin1");
}
