/** Looks into the first bytes of a connection: is it TLS, which name and protocols does the client offer (RFC 8446 4.1.2)? */
export interface Hello {
  readonly serverName: string | undefined;
  readonly alpn: readonly string[];
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
/** Envoy's limit. */
const MAX_HELLO_BYTES = 16 * 1024;

/** "more": not all bytes are there; "none": this is not a ClientHello. */
export function readClientHello(bytes: Uint8Array): Hello | "more" | "none" {
  if (bytes.length === 0) return "more";
  if (bytes[0] !== HANDSHAKE) return "none";
  if (bytes.length < 5) return bytes.length > 1 && bytes[1] !== 3 ? "none" : "more";
  if (bytes[1] !== 3) return "none";
  const handshake = joinRecords(bytes);
  if (handshake === "none") return "none";
  if (handshake.length < 4) return "more";
  if (handshake[0] !== CLIENT_HELLO) return "none";
  const length = ((handshake[1] ?? 0) << 16) | ((handshake[2] ?? 0) << 8) | (handshake[3] ?? 0);
  if (length > MAX_HELLO_BYTES) return "none";
  if (handshake.length < 4 + length) return "more";
  return readExtensions(handshake.subarray(4, 4 + length));
}

/** A ClientHello may be cut into several records. */
function joinRecords(bytes: Uint8Array): Uint8Array | "none" {
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    if (bytes[at] !== HANDSHAKE) break;
    const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
    if (length === 0 || length > MAX_HELLO_BYTES) return "none";
    parts.push(bytes.subarray(at + 5, Math.min(bytes.length, at + 5 + length)));
    at += 5 + length;
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

function readExtensions(hello: Uint8Array): Hello | "none" {
  const u8 = (at: number): number => hello[at] ?? 0;
  const u16 = (at: number): number => (u8(at) << 8) | u8(at + 1);
  let at = 34;
  at += 1 + u8(at);
  at += 2 + u16(at);
  at += 1 + u8(at);
  if (at > hello.length) return "none";
  const end = Math.min(hello.length, at + 2 + u16(at));
  at += 2;
  let serverName: string | undefined;
  let alpn: string[] = [];
  const text = (from: number, to: number): string => Buffer.from(hello.subarray(from, to)).toString("latin1");
  while (at + 4 <= end) {
    const type = u16(at);
    const length = u16(at + 2);
    const body = at + 4;
    at = body + length;
    if (at > end) return "none";
    if (type === SERVER_NAME && length > 5 && u8(body + 2) === 0) serverName = text(body + 5, body + 5 + u16(body + 3)).toLowerCase();
    if (type === ALPN) {
      alpn = [];
      for (let p = body + 2; p < at; p += 1 + u8(p)) alpn.push(text(p + 1, p + 1 + u8(p)));
    }
  }
  return { serverName, alpn };
}

/** "http/1.1", "http/1.0", "h2c"; "" when it is not HTTP; undefined: not enough bytes to tell. */
export function sniffHttp(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.subarray(0, 8192)).toString("latin1");
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  if (text.startsWith("PRI * HT")) return text.length < preface.length ? (preface.startsWith(text) ? undefined : "") : "h2c";
  const line = text.indexOf("\n");
  if (line < 0) return /^[!-~]{1,32}( |$)/.test(text) && text.length < 8192 ? undefined : "";
  const found = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^ ]+ HTTP\/1\.([01])\r?$/.exec(text.slice(0, line));
  return found === null ? "" : `http/1.${found[1] ?? "1"}`;
}
