/** Names on the wire: labels with lengths, and pointers to earlier ones (RFC 1035 3.1, 4.1.4). */
import { DnsFormatError } from "./message.ts";

/** RFC 1035 2.3.4, with the lengths and the root. */
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;

export function decodeName(bytes: Uint8Array, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = start;
  let end = -1;
  let length = 1;
  for (;;) {
    const head = byteAt(bytes, at);
    if (head === 0) return { name: labels.join("."), end: end < 0 ? at + 1 : end };
    if (head >= 0xc0) {
      const target = ((head & 0x3f) << 8) | byteAt(bytes, at + 1);
      if (end < 0) end = at + 2;
      // Pointers only go back: so no loop can be written.
      if (target >= at) throw new DnsFormatError(`name at byte ${start} points forward to byte ${target}`);
      at = target;
      continue;
    }
    if (head > MAX_LABEL_BYTES) throw new DnsFormatError(`label at byte ${at} has a reserved length ${head}`);
    if (at + 1 + head > bytes.length) throw new DnsFormatError(`label at byte ${at} ends after the message`);
    length += head + 1;
    if (length > MAX_NAME_BYTES) throw new DnsFormatError(`name at byte ${start} is longer than ${MAX_NAME_BYTES} bytes`);
    labels.push(labelText(bytes.subarray(at + 1, at + 1 + head)));
    at += 1 + head;
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  const value = bytes[at];
  if (value === undefined) throw new DnsFormatError(`message ends at byte ${bytes.length} within a name`);
  return value;
}

/** Master file escapes (RFC 1035 5.1) for what a dot or a control byte in a label would garble. */
function labelText(label: Uint8Array): string {
  let text = "";
  for (const byte of label) {
    if (byte === 0x2e || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else if (byte <= 0x20 || byte >= 0x7f) text += `\\${String(byte).padStart(3, "0")}`;
    else text += String.fromCharCode(byte);
  }
  return text;
}

/** Throws for a name that cannot be written: ours come from validated objects, others were decoded. */
export function labelsOf(name: string): Uint8Array[] {
  if (name === "" || name === ".") return [];
  const labels: number[][] = [[]];
  for (let i = 0; i < name.length; i += 1) {
    const char = name.charAt(i);
    if (char === ".") labels.push([]);
    else if (char === "\\") {
      const digits = /^[0-9]{3}/.exec(name.slice(i + 1))?.[0];
      labels.at(-1)?.push(digits === undefined ? name.charCodeAt(i + 1) & 0xff : Number(digits) & 0xff);
      i += digits === undefined ? 1 : 3;
    } else labels.at(-1)?.push(char.charCodeAt(0) & 0xff);
  }
  if (labels.at(-1)?.length === 0) labels.pop();
  if (
    labels.some((label) => label.length === 0 || label.length > MAX_LABEL_BYTES) ||
    labels.reduce((sum, label) => sum + label.length + 1, 1) > MAX_NAME_BYTES
  ) {
    throw new DnsFormatError(`"${name}" is not a name that DNS can carry`);
  }
  return labels.map((label) => Uint8Array.from(label));
}
