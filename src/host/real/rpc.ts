/** gRPC by grpc-js; the only file that loads it, and only when a program first serves or connects (it costs 70 ms). */
import { createRequire } from "node:module";
import { createServer, isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import type { SecureContextOptions } from "node:tls";
import { chmod, rm } from "node:fs/promises";
import type * as Grpc from "@grpc/grpc-js";
import { HostError } from "#host/host-error.ts";
import type { StreamAddress } from "#host/net.ts";
import { RPC_STATUS } from "#host/rpc.ts";
import type {
  Rpc,
  RpcCallHandler,
  RpcChannel,
  RpcClientCall,
  RpcConnectOptions,
  RpcMethod,
  RpcReceiver,
  RpcServeOptions,
  RpcServer,
  RpcServerCall,
  RpcStatus,
} from "#host/rpc.ts";
import { handleOf } from "./net/node-handle.ts";
import { peerCredentials } from "./net/raw-socket.ts";
import { isAbstract, kernelPath, listenUnix } from "./net/unix-socket.ts";

let loaded: typeof Grpc | undefined;
function grpc(): typeof Grpc {
  loaded ??= createRequire(import.meta.url)("@grpc/grpc-js") as typeof Grpc;
  return loaded;
}

/** A peer that does not answer a ping within 10 s is gone; asked every 30 s, as Istio's agents do. */
const KEEPALIVE = { "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 10_000 };

/** One proxy connects to such a socket; whoever tries to fill its queue gains nothing. */
const ABSTRACT_BACKLOG = 16;

const SERVER_OPTIONS: Grpc.ServerOptions = { ...KEEPALIVE };

const CHANNEL_OPTIONS: Grpc.ChannelOptions = {
  ...KEEPALIVE,
  // Responses of the control plane are as large as a mesh is; it is trusted.
  "grpc.max_receive_message_length": -1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // Calls are endless streams: what a retry would need is never kept.
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.use_local_subchannel_pool": 1,
};

export function realRpc(): Rpc {
  return { serve, connect };
}

const asIs = (message: Buffer): Buffer => message;
const asBuffer = (message: Uint8Array): Buffer => Buffer.from(message.buffer, message.byteOffset, message.byteLength);

function target(address: StreamAddress): string {
  if ("path" in address) return `unix:${kernelPath(address.path)}`;
  return address.ip.includes(":") ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}

async function serve(options: RpcServeOptions): Promise<RpcServer> {
  const { address, tls } = options;
  const server = new (grpc().Server)(SERVER_OPTIONS);
  for (const [path, method] of Object.entries(options.methods)) {
    server.register(path, (call: Grpc.ServerDuplexStream<Buffer, Uint8Array>) => accept(call, method), asBuffer, asIs, "bidi");
  }
  if ("path" in address && isAbstract(address.path)) return serveAbstract(server, address.path, options);
  if ("path" in address) await rm(address.path, { force: true });
  const credentials =
    tls === undefined
      ? grpc().ServerCredentials.createInsecure()
      : grpc().ServerCredentials.createSsl(
          Buffer.from(tls.ca),
          [{ cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.privateKey) }],
          tls.requireClientCertificate,
        );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(target(address), credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else
        reject(new HostError(/EADDRINUSE|EACCES|EADDRNOTAVAIL/.exec(error.message)?.[0] ?? "ERR_RPC_LISTEN", target(address), error.message, { cause: error }));
    });
  });
  if ("path" in address && options.mode !== undefined) await chmod(address.path, options.mode);
  return {
    address: "path" in address ? address : { ip: address.ip, port },
    renew({ certificate, privateKey }) {
      if (tls === undefined) throw noCertificate(target(address));
      // Its own way of renewing, which only subclasses may call: it tells every listener.
      const renewable = credentials as unknown as { updateSecureContextOptions(options: SecureContextOptions): void };
      renewable.updateSecureContextOptions({ ca: tls.ca, cert: certificate, key: privateKey });
    },
    async close() {
      server.forceShutdown();
      if ("path" in address) await rm(address.path, { force: true });
    },
  };
}

function noCertificate(subject: string): HostError {
  return new HostError("EINVAL", subject, "the server has no TLS, so no certificate to renew");
}

/** We listen, because grpc-js cannot in another namespace; it gets the connections that are admitted. */
async function serveAbstract(server: Grpc.Server, path: string, { netns, admit }: RpcServeOptions): Promise<RpcServer> {
  const injector = server.createConnectionInjector(grpc().ServerCredentials.createInsecure());
  const listener = createServer((socket) => {
    // Until gRPC has it nobody else listens for its errors.
    socket.on("error", () => undefined);
    const peer = peerCredentials(handleOf(socket)?.fd ?? -1);
    const asked = peer === undefined ? Promise.resolve("the kernel does not say who connected") : (admit?.(peer) ?? Promise.resolve(undefined));
    void asked
      .catch(() => "could not be checked")
      .then((refusal) => {
        if (refusal !== undefined || socket.destroyed) socket.destroy();
        else injector.injectConnection(socket);
      });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", (error: Error & { code?: string }) => reject(new HostError(error.code ?? "ERR_RPC_LISTEN", path, error.message, { cause: error })));
    listener.once("listening", resolve);
    listenUnix(listener, path, { backlog: ABSTRACT_BACKLOG, netns });
  });
  listener.on("error", () => undefined);
  return {
    address: { path },
    renew() {
      throw noCertificate(path);
    },
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        injector.destroy();
        server.forceShutdown();
      }),
  };
}

function accept(call: Grpc.ServerDuplexStream<Buffer, Uint8Array>, method: RpcMethod): void {
  let receiver: RpcReceiver | undefined;
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    receiver?.onClose?.();
  };
  const metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(call.metadata.getMap())) if (typeof value === "string") metadata[key] = value;
  const serverCall: RpcServerCall = {
    metadata,
    peer: { address: call.getPeer(), certificate: call.getAuthContext().sslPeerCertificate?.raw },
    send(message) {
      if (!closed) call.write(message);
    },
    end(code = RPC_STATUS.ok, message = "") {
      if (closed) return;
      if (code === RPC_STATUS.ok) call.end();
      else call.emit("error", { code, details: message });
      queueMicrotask(close);
    },
  };
  receiver = method(serverCall);
  call.on("data", (message: Buffer) => {
    if (!closed) receiver.onMessage(message);
  });
  call.on("end", () => {
    if (!closed) receiver.onEnd?.();
  });
  call.on("cancelled", close);
  call.on("error", close);
}

/** RFC 6761: a name that is nobody's. TLS has no server names that are addresses (RFC 6066), and Node warns about them. */
const NO_NAME = "address.invalid";

function connect(options: RpcConnectOptions): RpcChannel {
  const { address, tls } = options;
  const name = tls?.serverName ?? ("ip" in address ? address.ip : "localhost");
  const credentials =
    tls === undefined
      ? grpc().credentials.createInsecure()
      : grpc().credentials.createSsl(Buffer.from(tls.ca), pem(tls.privateKey), pem(tls.certificate), {
          checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
        });
  const shown = isIP(name) === 0 ? name : NO_NAME;
  const names = tls === undefined ? {} : { "grpc.ssl_target_name_override": shown, "grpc.default_authority": shown };
  const client = new (grpc().Client)(target(address), credentials, { ...CHANNEL_OPTIONS, ...names });
  const open = new Set<Grpc.ClientDuplexStream<Uint8Array, Buffer>>();
  return {
    call(method, metadata, handler) {
      const fields = new (grpc().Metadata)();
      for (const [key, value] of Object.entries(metadata)) fields.set(key, value);
      const stream = client.makeBidiStreamRequest(method, asBuffer, asIs, fields);
      open.add(stream);
      return follow(stream, handler, () => open.delete(stream));
    },
    close() {
      for (const stream of open) stream.cancel();
      client.close();
    },
  };
}

function follow(stream: Grpc.ClientDuplexStream<Uint8Array, Buffer>, handler: RpcCallHandler, closed: () => void): RpcClientCall {
  let ended = false;
  stream.on("data", (message: Buffer) => handler.onMessage(message));
  stream.on("status", (status: Grpc.StatusObject) => {
    closed();
    handler.onClose({ code: status.code, message: status.details } satisfies RpcStatus);
  });
  // Every failure is also a status; without a listener Node would throw it.
  stream.on("error", () => undefined);
  return {
    send(message) {
      if (!ended) stream.write(message);
    },
    end() {
      if (ended) return;
      ended = true;
      stream.end();
    },
    cancel() {
      ended = true;
      stream.cancel();
    },
  };
}

function pem(text: string | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}
