/** HTTP/1.1 for the control plane: the embedded API server, the Kubernetes client, admin pages. Never the data path. */
import type { StreamAddress } from "./net.ts";

export interface Http {
  serve(options: HttpServeOptions, handler: HttpHandler): Promise<HttpServer>;
  /** Rejects with HostError when no response came. */
  request(options: HttpRequestOptions): Promise<HttpResponse>;
  /** Opens a WebSocket. Rejects with HostError; its code is `HTTP_<status>` when the server answered but refused (message: the body). */
  webSocket(options: WebSocketOptions, handler: WebSocketHandler): Promise<OpenedWebSocket>;
}

/** The largest body that a server takes unless told otherwise: what Kubernetes' API server takes. */
export const DEFAULT_MAX_BODY_BYTES = 3 * 1024 * 1024;

/** PEM. */
export interface ServingCertificate {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface HttpServeOptions {
  readonly address: StreamAddress;
  readonly netns?: string;
  readonly tls?: ServingCertificate & { readonly clientCa?: string };
  readonly maxBodyBytes?: number;
}

export interface HttpHandler {
  onRequest(exchange: HttpExchange): void;
  /** WebSocket upgrade (exec, attach, port-forward): choose a subprotocol and accept, or refuse. Absent: refused with 400. */
  onUpgrade?(upgrade: HttpUpgrade): void;
}

/** One request with its answer. */
export interface HttpExchange {
  readonly method: string;
  /** Path with query, as sent. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly peer: HttpPeer;
  /** Whole body; rejects with HostError EMSGSIZE when it is larger than maxBodyBytes. */
  body(): Promise<Uint8Array>;
  respond(status: number, headers: Readonly<Record<string, string>>, body?: string | Uint8Array): void;
  /** Starts a streaming answer (watch, logs -f). `closed` is called once when the client went away. */
  stream(status: number, headers: Readonly<Record<string, string>>, closed: () => void): HttpStream;
}

export interface HttpStream {
  write(chunk: string | Uint8Array): void;
  end(): void;
  readonly bufferedBytes: number;
}

export interface HttpPeer {
  readonly address: string;
  /** Verified client certificate's subject, when one was given. */
  readonly certificate: { readonly commonName: string; readonly organizations: readonly string[] } | undefined;
  /** Why a certificate that was given was not accepted: "certificate has expired". */
  readonly certificateProblem: string | undefined;
}

export interface HttpUpgrade {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly peer: HttpPeer;
  readonly protocols: readonly string[];
  accept(protocol: string | undefined, handler: WebSocketHandler): WebSocketConnection;
  refuse(status: number, headers: Readonly<Record<string, string>>, body: string): void;
}

export interface WebSocketHandler {
  onMessage(bytes: Uint8Array, binary: boolean): void;
  onClose(): void;
}

export interface WebSocketConnection {
  send(bytes: Uint8Array | string): void;
  close(code?: number, reason?: string): void;
  readonly bufferedBytes: number;
}

export interface HttpServer {
  readonly address: StreamAddress;
  /** Connections that begin from now on get this certificate; only where the server has TLS. */
  renew(own: ServingCertificate): void;
  close(): Promise<void>;
}

export interface HttpRequestOptions {
  readonly method: string;
  /** https://host:port/path or http://...; with `socketPath` the host is only a name. */
  readonly url: string;
  readonly socketPath?: string;
  readonly netns?: string;
  readonly mark?: number;
  /** Source address to bind to. */
  readonly sourceIp?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly tls?: {
    readonly ca?: string;
    readonly certificate?: string;
    readonly privateKey?: string;
    readonly serverName?: string;
    readonly insecure?: boolean;
  };
  /** No answer by then, or a pause as long in a body that is read as text: the request has failed. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface WebSocketOptions extends Omit<HttpRequestOptions, "method" | "body"> {
  readonly protocols: readonly string[];
}

export interface OpenedWebSocket {
  readonly connection: WebSocketConnection;
  /** What the server chose; "" when nothing. */
  readonly protocol: string;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Whole body as text. */
  text(): Promise<string>;
  /** Chunks as they come; ends when the server ends; throws when the connection breaks. */
  chunks(): AsyncIterable<Uint8Array>;
}
