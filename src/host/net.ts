/**
 * Sockets as the data path wants them; not Node streams. Bytes are borrowed: a slice given to `onData` is valid only
 * during the call. Writes are gathered: `write` queues, and everything queued in one turn of the event loop leaves in
 * one system call per connection. Reading starts at once and is stopped by `pause` (back-pressure is explicit).
 *
 * Engines: `node:net`/`node:tls` first; later our own epoll loop. One contract suite tests all.
 */
export interface Net {
  /** Resolves when the socket listens. Rejects with HostError (EADDRINUSE, EACCES ...). */
  listen(options: ListenOptions, accepted: (connection: Connection) => void): Promise<Listener>;
  /** Returns at once; `onConnect` or `onClose(error)` of the handler tells how it went. */
  connect(options: ConnectOptions, handler: ConnectionHandler): Connection;
  /** UDP. */
  bind(options: BindOptions, received: (datagram: Datagram) => void): Promise<DatagramSocket>;
  /** Compiles certificates and keys once; cheap to use for many connections. Throws HostError on bad PEM. */
  tlsServer(options: TlsServerOptions): TlsServerContext;
  tlsClient(options: TlsClientOptions): TlsClientContext;
}

/**
 * Where a stream socket listens or connects. A path that begins with "@" is an abstract name (unix(7)): it belongs to the
 * network namespace, there is no file, and it is gone with its listener. `netns` is the path of a namespace file (/run/netns/x).
 */
export type StreamAddress = { readonly ip: string; readonly port: number } | { readonly path: string };

export interface ListenOptions {
  readonly address: StreamAddress;
  /** Socket is made in this network namespace (path of its file); default: the process's own. */
  readonly netns?: string;
  /** IP_TRANSPARENT, for TPROXY. */
  readonly transparent?: boolean;
  /** SO_REUSEPORT. */
  readonly reusePort?: boolean;
  readonly backlog?: number;
  /** Look up SO_ORIGINAL_DST for every accepted connection (facts.originalDestination). */
  readonly originalDestination?: boolean;
  /** File mode of a Unix socket. */
  readonly mode?: number;
}

export interface ConnectOptions {
  readonly address: StreamAddress;
  readonly netns?: string;
  /** SO_MARK. */
  readonly mark?: number;
  /** Source address to bind to. */
  readonly sourceIp?: string;
  /** The connection is closed with code ETIMEDOUT when it is not established by then. */
  readonly timeoutMs?: number;
  /** TLS from the start. `onConnect` comes after the handshake. */
  readonly tls?: { readonly context: TlsClientContext; readonly serverName?: string };
}

export interface Listener {
  readonly address: StreamAddress;
  /** Stops accepting; open connections go on. */
  close(): Promise<void>;
}

export interface ConnectionFacts {
  readonly local: SocketAddress | undefined;
  readonly remote: SocketAddress | undefined;
  /** Before NAT, when asked for in ListenOptions and the kernel knows one. */
  readonly originalDestination: SocketAddress | undefined;
  /** After a TLS handshake. */
  readonly tls: TlsFacts | undefined;
  /** SO_PEERCRED of a Unix socket. */
  readonly peerCredentials: { readonly pid: number; readonly uid: number; readonly gid: number } | undefined;
}

export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

export interface TlsFacts {
  /** "TLSv1.3". */
  readonly version: string;
  /** Negotiated ALPN protocol. */
  readonly alpn: string | undefined;
  /** SNI that the client sent. */
  readonly serverName: string | undefined;
  /** DER of the peer's leaf certificate; undefined when it presented none. Verified against the context's `ca` when one was given. */
  readonly peerCertificate: Uint8Array | undefined;
  /** URI subject alternative names of the peer's leaf, parsed once by the engine. */
  readonly peerUris: readonly string[];
  readonly peerDnsNames: readonly string[];
}

export interface Connection {
  readonly facts: ConnectionFacts;
  /** Replaces the handler (an accepted connection has none until this is called, in the turn it was accepted). */
  handle(handler: ConnectionHandler): void;
  /**
   * Queues bytes (or a latin1 string). The engine may keep the Uint8Array until it is written: the caller must not
   * change it afterwards. Borrowed bytes from another connection's onData must be copied by the caller
   * (`writeBorrowed` does that when needed).
   */
  write(chunk: Uint8Array | string): void;
  /** As write, of bytes[start..end), but `bytes` is only valid during this call (the engine writes it at once or copies). */
  writeBorrowed(bytes: Uint8Array, start?: number, end?: number): void;
  /** Sends what is queued now instead of at the end of the turn. */
  flush(): void;
  /** Bytes queued and not yet taken by the kernel. `onDrain` is called when it returns to 0 after having been above 64 KiB. */
  readonly bufferedBytes: number;
  /** Bytes handed over to be sent, since the connection began. */
  readonly sentBytes: number;
  pause(): void;
  resume(): void;
  /** Half-close: FIN (or close_notify) after what is queued. */
  end(): void;
  /** Closes both directions now; with RST when `reset`. */
  destroy(reset?: boolean): void;
  /**
   * Turns an accepted plain connection into a TLS server connection. `unread` are bytes already received (the
   * ClientHello that was inspected). `onConnect` of the handler comes after the handshake; `onClose(error)` if it fails.
   */
  startTls(context: TlsServerContext, unread?: Uint8Array): void;
}

export interface ConnectionHandler {
  /** Connected (and TLS handshake done). Not called for accepted plain connections. */
  onConnect?(): void;
  /** Borrowed: valid during the call only. */
  onData(bytes: Uint8Array): void;
  /** The peer half-closed. Our side stays open until end() or destroy(). */
  onEnd?(): void;
  onDrain?(): void;
  /** Called exactly once, last. `error` is set when it did not end in an orderly way (code ECONNREFUSED, ECONNRESET, ETIMEDOUT, ERR_TLS_...). */
  onClose(error?: NetError): void;
}

export interface NetError {
  readonly code: string;
  readonly message: string;
}

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

export interface TlsServerOptions {
  /** PEM chain, leaf first. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM bundle that client certificates must verify against. */
  readonly ca?: string;
  /** "require": refuse a client without a certificate that verifies; "request": accept none, refuse a bad one; default "none". */
  readonly clientCertificate?: "none" | "request" | "require";
  readonly alpn?: readonly string[];
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
  /** OpenSSL's names, best first, joined by ":"; of TLS 1.2 only. */
  readonly ciphers?: string;
  /** Groups for the key exchange, best first, joined by ":". */
  readonly curves?: string;
  /** Called with the peer's facts after chain verification; a returned string refuses the handshake with that reason. */
  readonly verifyPeer?: (facts: TlsFacts) => string | undefined;
}

export interface TlsClientOptions {
  readonly certificate?: string;
  readonly privateKey?: string;
  /** PEM bundle; undefined: the peer's chain is not verified (only with verifyPeer of our own or an explicit choice of the user). */
  readonly ca?: string;
  readonly alpn?: readonly string[];
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
  readonly ciphers?: string;
  readonly curves?: string;
  /** Check host name against the certificate. SPIFFE peers are checked by verifyPeer instead. Default false. */
  readonly verifyHostname?: boolean;
  readonly verifyPeer?: (facts: TlsFacts) => string | undefined;
}

/** Opaque to users. */
export interface TlsServerContext {
  readonly kind: "tls-server";
}
export interface TlsClientContext {
  readonly kind: "tls-client";
}

export interface BindOptions {
  readonly address: SocketAddress;
  readonly netns?: string;
  readonly mark?: number;
  readonly reuseAddress?: boolean;
  /** SO_REUSEPORT. */
  readonly reusePort?: boolean;
}

export interface Datagram {
  /** Borrowed. */
  readonly bytes: Uint8Array;
  readonly from: SocketAddress;
}

export interface DatagramSocket {
  readonly address: SocketAddress;
  send(bytes: Uint8Array, to: SocketAddress): void;
  close(): void;
}
