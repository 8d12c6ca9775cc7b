/** Reads `METHOD SP TARGET SP HTTP/1.x` and what the target means (RFC 9112 3). */
import { latin1 } from "#lib/latin1.ts";
import { AUTHORITY, OCTETS, SP, TARGET, TOKEN } from "./octets.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";

/** What Envoy takes: of the registered methods (RFC 9110 16.1) those that its parser knows. */
const METHODS = new Set(
  (
    "GET POST PUT HEAD DELETE PATCH OPTIONS CONNECT TRACE ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE M-SEARCH MSEARCH NOTIFY " +
    "PROPFIND PROPPATCH PURGE REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
  ).split(" "),
);

export class RequestLine {
  method = "";
  /** Where the target stands in the head's text: it is cut out of that, not decoded a second time. */
  targetStart = 0;
  targetEnd = 0;
  /** 10 or 11. */
  version = 11;

  readonly #anyMethod: boolean;

  /** `anyMethod`: also methods that nobody registered (http_protocol_options.allow_custom_methods). */
  constructor(anyMethod = false) {
    this.#anyMethod = anyMethod;
  }

  readonly read = (bytes: Uint8Array, start: number, end: number, base: number): Http1Problem | undefined => {
    let i = start;
    while (i < end && ((OCTETS[bytes[i] ?? 0] ?? 0) & TOKEN) !== 0) i++;
    if (i === start || i === end) return PROBLEMS.badRequestLine;
    if (bytes[i] !== SP) return PROBLEMS.badMethod;
    const targetStart = i + 1;
    // " HTTP/1.1" is 9 octets.
    const targetEnd = end - 9;
    if (targetEnd <= targetStart) return PROBLEMS.badRequestLine;
    for (i = targetStart; i < targetEnd; i++) if (((OCTETS[bytes[i] ?? 0] ?? 0) & TARGET) === 0) return PROBLEMS.badTarget;
    const version = httpVersion(bytes, targetEnd + 1);
    if (bytes[targetEnd] !== SP || version === 0) return PROBLEMS.badRequestLine;
    if (version < 0) return PROBLEMS.badVersion;
    this.version = version;
    const method = methodOf(bytes, start, targetStart - 1);
    if (!this.#anyMethod && !METHODS.has(method)) return PROBLEMS.unknownMethod;
    this.method = method;
    this.targetStart = targetStart - base;
    this.targetEnd = targetEnd - base;
    return undefined;
  };
}

/** 10, 11; -1 for another version; 0 when it is none. */
export function httpVersion(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 72 || bytes[at + 1] !== 84 || bytes[at + 2] !== 84 || bytes[at + 3] !== 80 || bytes[at + 4] !== 47 || bytes[at + 6] !== 46) return 0;
  const major = (bytes[at + 5] ?? 0) - 48;
  const minor = (bytes[at + 7] ?? 0) - 48;
  if (major < 0 || major > 9 || minor < 0 || minor > 9) return 0;
  return major === 1 && minor <= 1 ? 10 + minor : -1;
}

/** The usual methods without making a string. */
function methodOf(bytes: Uint8Array, start: number, end: number): string {
  if (end - start === 3) {
    if (bytes[start] === 71 && bytes[start + 1] === 69 && bytes[start + 2] === 84) return "GET";
    if (bytes[start] === 80 && bytes[start + 1] === 85 && bytes[start + 2] === 84) return "PUT";
  } else if (end - start === 4) {
    if (bytes[start] === 80 && bytes[start + 1] === 79 && bytes[start + 2] === 83 && bytes[start + 3] === 84) return "POST";
    if (bytes[start] === 72 && bytes[start + 1] === 69 && bytes[start + 2] === 65 && bytes[start + 3] === 68) return "HEAD";
  }
  return latin1(bytes, start, end);
}

export interface Target {
  path: string;
  /** Of the absolute form or CONNECT; undefined: the Host header says. */
  authority: string | undefined;
  scheme: string | undefined;
}

/** undefined when the target is none of origin, absolute, authority (CONNECT) or asterisk form (OPTIONS). */
export function readTarget(method: string, target: string): Target | undefined {
  if (method === "CONNECT") return isAuthority(target) && hasPort(target) ? { path: target, authority: target, scheme: undefined } : undefined;
  if (target.charCodeAt(0) === 47) return { path: target, authority: undefined, scheme: undefined };
  if (target === "*") return method === "OPTIONS" ? { path: "*", authority: undefined, scheme: undefined } : undefined;
  const absolute = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(target);
  if (absolute === null) return undefined;
  const [, scheme = "", named = "", rest = ""] = absolute;
  // Who asks is not who is asked: user information is no part of a host (RFC 9110 4.2.4).
  const authority = named.slice(named.lastIndexOf("@") + 1);
  if (authority === "" || !isAuthority(authority) || (/:\d*$/.test(authority) && !hasPort(authority))) return undefined;
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  return { path, authority, scheme: scheme.toLowerCase() };
}

/** Its port is a number that TCP has. */
function hasPort(authority: string): boolean {
  const port = /:(\d{1,5})$/.exec(authority)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

export function isAuthority(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (((OCTETS[text.charCodeAt(i)] ?? 0) & AUTHORITY) === 0) return false;
  return text.length > 0;
}
