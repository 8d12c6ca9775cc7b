/** DNS over TCP: two bytes of length before each message (RFC 1035 4.2.2). */
export function frame(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(message.length + 2);
  bytes[0] = message.length >> 8;
  bytes[1] = message.length & 0xff;
  bytes.set(message, 2);
  return bytes;
}

export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);

  /** Whole messages, copied out of the borrowed bytes. */
  push(bytes: Uint8Array): Uint8Array[] {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (all.length - at >= 2) {
      const length = ((all[at] ?? 0) << 8) | (all[at + 1] ?? 0);
      if (all.length - at - 2 < length) break;
      messages.push(all.slice(at + 2, at + 2 + length));
      at += 2 + length;
    }
    this.#rest = all.slice(at);
    return messages;
  }
}
