/** The Connection header: a list of options, some of which name headers meant for this hop only (RFC 9110 7.6.1). */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { headerName } from "#wire/http/header-name.ts";
import { CONNECTION } from "#wire/http/names.ts";

/** `connection` must be lower-case. */
export function hasOption(connection: string, option: string): boolean {
  if (connection.length <= option.length) return connection === option;
  return connection.includes(option) && connection.split(",").some((part) => part.trim() === option);
}

/** The value that most clients and servers send, and that says nothing, needs no lower-case copy. */
export function connectionOptions(headers: HeaderBlock): string | undefined {
  const connection = headers.get(CONNECTION);
  return connection === undefined || connection === "keep-alive" || connection === "close" ? connection : connection.toLowerCase();
}

/** A client must not make us drop what identity, framing or routing rests on. */
const PROTECTED = /^(?:content-length|transfer-encoding|te|authorization|cookie|via|forwarded|x-forwarded-.*|x-envoy-.*|x-request-id|traceparent)$/;

/** Naming these is an attack, not a mistake: whoever asks for it is refused (as Envoy does). */
const FORBIDDEN = /^(?:host|x-forwarded-(?:for|host|proto)|:.*)$/;

/** Removes the headers that the Connection header names. False: it names one that no client may take away. */
export function removeNominated(headers: HeaderBlock, connection: string): boolean {
  if (connection === "close" || connection === "keep-alive" || connection === "upgrade") return true;
  for (const part of connection.split(",")) {
    const name = part.trim();
    if (FORBIDDEN.test(name)) return false;
    if (name === "" || name === "close" || name === "keep-alive" || name === "upgrade" || PROTECTED.test(name)) continue;
    headers.remove(headerName(name));
  }
  return true;
}
