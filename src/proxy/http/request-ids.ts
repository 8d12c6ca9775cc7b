/** UUIDs for x-request-id: random bytes are taken from the host in blocks, so that one costs no call. */
import type { Random } from "#host/random.ts";

const BLOCK_BYTES = 4096;
const HEX = Array.from({ length: 256 }, (_, b) => b.toString(16).padStart(2, "0"));

export class RequestIds {
  readonly #random: Random;
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;
  constructor(random: Random) {
    this.#random = random;
  }

  next(): string {
    if (this.#at + 16 > this.#block.length) {
      this.#block = this.#random.bytes(BLOCK_BYTES);
      this.#at = 0;
    }
    const b = this.#block;
    const i = this.#at;
    this.#at += 16;
    const h = (offset: number): string => HEX[b[i + offset] ?? 0] ?? "00";
    const version = HEX[((b[i + 6] ?? 0) & 0x0f) | 0x40] ?? "40";
    const variant = HEX[((b[i + 8] ?? 0) & 0x3f) | 0x80] ?? "80";
    return `${h(0)}${h(1)}${h(2)}${h(3)}-${h(4)}${h(5)}-${version}${h(7)}-${variant}${h(9)}-${h(10)}${h(11)}${h(12)}${h(13)}${h(14)}${h(15)}`;
  }
}
