/**
 * What a decision may ask of a request and of its connection: real ones in the proxy, imagined ones in `weft why`. Every
 * matcher is compiled once from Envoy's messages to a closure over these.
 */
import type { Ip } from "#lib/ip.ts";
import { HeaderBlock } from "#wire/http/header-block.ts";
import { type HeaderName, headerName } from "#wire/http/header-name.ts";

export interface RequestView {
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  /** Several headers of one name joined by a comma; undefined when there is none. Never a pseudo-header. */
  header(name: HeaderName): string | undefined;
  /** The values one by one, when there is more than one header of that name. */
  repeated(name: HeaderName): readonly string[] | undefined;
}

export interface ConnectionView {
  /** Where the client meant to go: the original destination when the listener restores it. */
  readonly destination: PeerView;
  /** The other end of the socket. */
  readonly directRemote: PeerView;
  /** The client as told by trusted headers, else the same as directRemote. */
  readonly remote: PeerView;
  /** SNI; undefined without TLS or without the extension. */
  readonly serverName: string | undefined;
  /** "tls", "raw_buffer"; "" when no inspector looked. */
  readonly transportProtocol: string;
  /** ALPN offered by the client, or what an HTTP inspector saw. */
  readonly applicationProtocols: readonly string[];
  /** The verified peer certificate's names; undefined when there is none. */
  readonly peer: PeerIdentity | undefined;
}

export interface PeerView {
  /** undefined for a Unix socket. */
  readonly ip: Ip | undefined;
  readonly port: number;
}

export interface PeerIdentity {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly subject: string;
}

/** A request that nobody sent. Its headers may be changed, as a proxy on the way changes them. */
export interface ImaginedRequest extends RequestView {
  readonly headers: HeaderBlock;
}

export function imaginedRequest(options: {
  readonly method?: string;
  readonly path?: string;
  readonly authority: string;
  readonly scheme?: string;
  readonly headers?: Readonly<Record<string, string>>;
}): ImaginedRequest {
  const headers = new HeaderBlock();
  for (const [name, value] of Object.entries(options.headers ?? {})) headers.add(headerName(name), value);
  return imaginedFrom(headers, { method: "GET", path: "/", scheme: "http", ...options });
}

/** The same request, as it is after a proxy changed it. */
export function changedRequest(request: ImaginedRequest, changes: Partial<Pick<RequestView, "path" | "authority" | "scheme">>): ImaginedRequest {
  const { method, path, authority, scheme, headers } = request;
  return imaginedFrom(headers.clone(), { method, path, authority, scheme, ...changes });
}

function imaginedFrom(headers: HeaderBlock, start: Pick<RequestView, "method" | "path" | "authority" | "scheme">): ImaginedRequest {
  const { method, path, authority, scheme } = start;
  return { method, path, authority, scheme, headers, header: (name) => headers.get(name), repeated: (name) => headers.repeated(name) };
}

/** Path without query and fragment. */
export function pathOnly(path: string): string {
  const query = path.indexOf("?");
  const fragment = path.indexOf("#");
  if (query < 0 && fragment < 0) return path;
  return path.slice(0, query < 0 ? fragment : fragment < 0 ? query : Math.min(query, fragment));
}
