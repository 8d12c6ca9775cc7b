/** Names and addresses that follow from what they are for. */
import { createHash } from "node:crypto";
import { cidr, formatIp, nthAddress } from "#lib/ip.ts";

/** Letters that Kubernetes uses for generated names: no vowels, so no words. */
const letters = "bcdfghjklmnpqrstvwxz2456789";

export function suffix(of: string, length: number): string {
  const digest = createHash("sha256").update(of).digest();
  return Array.from({ length }, (_, i) => letters[(digest[i] ?? 0) % letters.length]).join("");
}

/** Addresses of a range in order, without those that are taken. */
export class AddressPool {
  readonly #range;
  readonly #taken = new Set<string>();
  #index: number;

  constructor(range: string, first: number) {
    this.#range = cidr(range);
    this.#index = first;
  }

  take(address: string): void {
    this.#taken.add(address);
  }

  next(): string {
    for (;;) {
      const address = nthAddress(this.#range, this.#index++);
      if (address === undefined) throw new Error("the imagined cluster has no address left; give fewer replicas");
      const text = formatIp(address);
      if (!this.#taken.has(text)) return text;
    }
  }
}
