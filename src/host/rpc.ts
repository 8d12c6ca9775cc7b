/**
 * gRPC as bytes: messages are encoded protobuf, so the interface knows no service. `grpc-js` is only in host/real;
 * the fake connects callers and services in memory under virtual time.
 *
 * A channel connects when the first call needs it and again, with back-off, after it was lost; a call never moves to
 * another connection: it ends with UNAVAILABLE and the caller starts a new one. Both sides send keepalive pings.
 */
import type { ServingCertificate } from "./http.ts";
import type { StreamAddress } from "./net.ts";

export interface Rpc {
  /** Resolves when it listens; a leftover file of a Unix socket is replaced. Rejects with HostError (EADDRINUSE ...). */
  serve(options: RpcServeOptions): Promise<RpcServer>;
  connect(options: RpcConnectOptions): RpcChannel;
}

/** The status codes of gRPC that Weft uses (grpc/doc/statuscodes.md). */
export const RPC_STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export interface RpcServeOptions {
  readonly address: StreamAddress;
  /** Of an abstract Unix socket ("@name"): the network namespace that it is made in; default the process's own. */
  readonly netns?: string;
  /** Of an abstract Unix socket: asked for each connection before anything of it is looked at; a string refuses it, with that reason. */
  readonly admit?: (peer: PeerCredentials) => Promise<string | undefined>;
  /** mTLS; absent: cleartext (Unix sockets). */
  readonly tls?: ServingCertificate & { readonly ca: string; readonly requireClientCertificate: boolean };
  /** Full method path ("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources") -> handler. */
  readonly methods: Readonly<Record<string, RpcMethod>>;
  /** File mode of a Unix socket. */
  readonly mode?: number;
}

/** SO_PEERCRED: of whoever connected, at that moment, in our own pid and user namespaces. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Called for each call; unary is a stream of one message. Returns what receives the caller's messages. */
export type RpcMethod = (call: RpcServerCall) => RpcReceiver;

export interface RpcServerCall {
  readonly metadata: Readonly<Record<string, string>>;
  /** `certificate` is the DER of the client's verified leaf. */
  readonly peer: { readonly address: string; readonly certificate: Uint8Array | undefined };
  send(message: Uint8Array): void;
  /** Ends the call. code 0 is OK; others as in gRPC. */
  end(code?: number, message?: string): void;
}

export interface RpcReceiver {
  onMessage(message: Uint8Array): void;
  /** The caller half-closed. */
  onEnd?(): void;
  /** Cancelled or connection lost; also after end(). Called exactly once. */
  onClose?(): void;
}

export interface RpcServer {
  readonly address: StreamAddress;
  /** Connections that begin from now on get this certificate; only where the server has TLS. */
  renew(own: ServingCertificate): void;
  /** Stops at once: open calls end with UNAVAILABLE or CANCELLED at the caller. */
  close(): Promise<void>;
}

export interface RpcConnectOptions {
  readonly address: StreamAddress;

  readonly tls?: StreamTls;
  /** SO_MARK cannot be set by grpc-js; a program that needs it passes a Unix socket. */
}

export interface StreamTls {
  readonly ca: string;
  readonly certificate?: string;
  readonly privateKey?: string;
  /** What the server's certificate must be for, when it is not the address. */
  readonly serverName?: string;
}

export interface RpcChannel {
  /** Starts a call. `onClose` of the handler is called exactly once with the status. */
  call(method: string, metadata: Readonly<Record<string, string>>, handler: RpcCallHandler): RpcClientCall;
  /** Ends open calls with CANCELLED. */
  close(): void;
}

export interface RpcCallHandler {
  onMessage(message: Uint8Array): void;
  onClose(status: RpcStatus): void;
}

export interface RpcStatus {
  readonly code: number;
  readonly message: string;
}

export interface RpcClientCall {
  send(message: Uint8Array): void;
  /** Half-close. */
  end(): void;
  cancel(): void;
}
