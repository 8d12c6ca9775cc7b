/**
 * gRPC as bytes: messages are encoded protobuf, so the interface knows no service. `grpc-js` is only in host/real;
 * the fake connects callers and services in memory under virtual time.
 */
import type { StreamAddress } from "./net.ts";

export interface Rpc {
  serve(options: RpcServeOptions): Promise<RpcServer>;
  connect(options: RpcConnectOptions): RpcChannel;
}

export interface RpcServeOptions {
  readonly address: StreamAddress;
  /** mTLS; absent: cleartext (Unix sockets). */
  readonly tls?: { readonly certificate: string; readonly privateKey: string; readonly ca: string; readonly requireClientCertificate: boolean };
  /** Full method path ("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources") -> handler. */
  readonly methods: Readonly<Record<string, RpcMethod>>;
  /** File mode of a Unix socket. */
  readonly mode?: number;
}

/** Called for each call; unary is a stream of one message. Returns what receives the caller's messages. */
export type RpcMethod = (call: RpcServerCall) => RpcReceiver;

export interface RpcServerCall {
  readonly metadata: Readonly<Record<string, string>>;
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
  close(): Promise<void>;
}

export interface RpcConnectOptions {
  readonly address: StreamAddress;
  readonly tls?: { readonly ca: string; readonly certificate?: string; readonly privateKey?: string; readonly serverName?: string };
  /** SO_MARK cannot be set by grpc-js; a program that needs it passes a Unix socket. */
}

export interface RpcChannel {
  /** Starts a call. `onClose` of the handler is called exactly once with the status. */
  call(method: string, metadata: Readonly<Record<string, string>>, handler: RpcCallHandler): RpcClientCall;
  close(): void;
}

export interface RpcCallHandler {
  onMessage(message: Uint8Array): void;
  onClose(status: { readonly code: number; readonly message: string }): void;
}

export interface RpcClientCall {
  send(message: Uint8Array): void;
  /** Half-close. */
  end(): void;
  cancel(): void;
}
