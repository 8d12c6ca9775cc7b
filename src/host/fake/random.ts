/** Reproducible randomness: xoshiro128** (Blackman and Vigna, 2018), its state taken from a hash of the seed's text. */
import { createHash } from "node:crypto";
import type { Random } from "#host/random.ts";

export function seededRandom(seed: string): Random {
  const digest = createHash("sha256").update(seed).digest();
  const state = new Uint32Array([digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), digest.readUInt32LE(12)]);
  const next32 = (): number => {
    const [a = 0, b = 0, c = 0, d = 0] = state;
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const c1 = c ^ a;
    const d1 = d ^ b;
    state[1] = b ^ c1;
    state[0] = a ^ d1;
    state[2] = c1 ^ (b << 9);
    state[3] = rotate(d1, 11);
    return result;
  };
  const fill = (bytes: Uint8Array): void => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next32() >>> 24;
  };
  const bytes = (length: number): Uint8Array => {
    const made = new Uint8Array(length);
    fill(made);
    return made;
  };
  return { next: () => next32() / 2 ** 32, bytes, fill, uuid: () => uuid(bytes(16)) };
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

function uuid(bytes: Uint8Array): string {
  // Version 4 and the variant of RFC 9562, 5.4.
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
