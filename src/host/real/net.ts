/**
 * Host.Net, first engine: node:net and node:tls, with FFI for what they lack. Sockets that need a mark, a namespace or
 * transparency are made by FFI and adopted by Node (net/raw-socket.ts); all others stay Node's own, so that programs
 * that need none of that never load the FFI for listening. Connections: net/connection.ts.
 */
import { connect as connectSocket, createServer, Socket } from "node:net";
import type { Server } from "node:net";
import { rmSync } from "node:fs";
import { HostError } from "#host/host-error.ts";
import type { Connection, ConnectionHandler, ConnectOptions, Listener, ListenOptions, Net, SocketAddress, StreamAddress } from "#host/net.ts";
import { NodeConnection, SOCKET_OPTIONS } from "./net/connection.ts";
import { bindDatagram } from "./net/datagram.ts";
import { NodeFacts } from "./net/facts.ts";
import { handleOf } from "./net/node-handle.ts";
import type { NodeHandle } from "./net/node-handle.ts";
import { bindRaw, describe, rawSocket } from "./net/raw-socket.ts";
import { plainIp } from "./net/socket-address.ts";
import { isAbstract, kernelPath, listenUnix, unixSocket } from "./net/unix-socket.ts";
import { clientSettings, isTlsSettings, serverSettings } from "./net/tls-context.ts";

/** The kernel cuts it to net.core.somaxconn (4096). */
const DEFAULT_BACKLOG = 4096;

export function realNet(): Net {
  return { listen, connect, bind: bindDatagram, tlsServer: serverSettings, tlsClient: clientSettings };
}

async function listen(options: ListenOptions, accepted: (connection: Connection) => void): Promise<Listener> {
  const isUnix = "path" in options.address;
  const server = createServer({ allowHalfOpen: true });
  try {
    await startListening(server, options);
  } catch (cause) {
    if (!isUnix || isAbstract(options.address.path) || !(await isStale(cause, options.address))) throw asHostError(cause, options.address);
    rmSync(options.address.path, { force: true });
    await startListening(server, options).catch((again: unknown) => {
      throw asHostError(again, options.address);
    });
  }
  takeOver(server, { isUnix, wantsOriginalDestination: options.originalDestination ?? false }, accepted);
  return {
    address: listeningAddress(server, options.address),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function startListening(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      // An accept that fails (out of descriptors) must not end the program; the peer sees its connection close.
      server.on("error", () => undefined);
      resolve();
    });
    const { address, backlog = DEFAULT_BACKLOG } = options;
    if ("path" in address) listenUnix(server, address.path, { backlog, mode: options.mode, netns: options.netns });
    else if (options.netns === undefined && options.transparent !== true) {
      server.listen({ host: address.ip, port: address.port, backlog, reusePort: options.reusePort ?? false });
    } else {
      const fd = rawSocket({
        type: "stream",
        address,
        netns: options.netns,
        transparent: options.transparent,
        reusePort: options.reusePort,
        reuseAddress: true,
      });
      bindRaw(fd, address);
      server.listen({ fd, backlog });
    }
  });
}

/** Whether the address is taken only by the socket file of a program that is gone. */
function isStale(cause: unknown, address: { readonly path: string }): Promise<boolean> {
  if ((cause as { code?: string }).code !== "EADDRINUSE") return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connectSocket(address.path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.on("error", (error: Error & { code?: string }) => resolve(error.code === "ECONNREFUSED"));
  });
}

/**
 * Node's server makes sockets that it reads itself, so its accept callback is replaced: the handle becomes a socket of
 * ours. Nothing is read until the connection has a handler.
 */
function takeOver(
  server: Server,
  kind: { readonly isUnix: boolean; readonly wantsOriginalDestination: boolean },
  accepted: (connection: Connection) => void,
): void {
  const listening = handleOf(server);
  if (listening === undefined) return;
  listening.onconnection = (error: number, handle: NodeHandle | undefined): void => {
    if (error !== 0 || handle === undefined) return;
    handle.setNoDelay?.(true);
    const socket = new Socket({ ...SOCKET_OPTIONS, handle } as object);
    accepted(new NodeConnection(socket, { connected: true, facts: new NodeFacts(socket, kind) }));
  };
}

function listeningAddress(server: Server, asked: StreamAddress): StreamAddress {
  const bound = server.address();
  return bound === null || typeof bound === "string" ? asked : { ip: plainIp(bound.address), port: bound.port };
}

function connect(options: ConnectOptions, handler: ConnectionHandler): Connection {
  const { socket, start } = outgoing(options);
  // Or Node begins to read when it has connected.
  socket.pause();
  const isUnix = "path" in options.address;
  const connection = new NodeConnection(socket, { connected: false, facts: new NodeFacts(socket, { isUnix, wantsOriginalDestination: false }) });
  connection.handle(handler);
  if (options.timeoutMs !== undefined)
    connection.failAfter(options.timeoutMs, `connecting to ${name(options.address)} took longer than ${options.timeoutMs} ms`);
  const { tls } = options;
  socket.once("connect", () => {
    if (!isUnix) handleOf(socket)?.setNoDelay?.(true);
    if (tls === undefined) connection.established();
    else if (isTlsSettings(tls.context)) connection.secure(tls.context, tls.serverName, new Uint8Array(0));
  });
  start(connection);
  return connection;
}

/** A socket that is not connected yet, and what connects it. */
function outgoing(options: ConnectOptions): { socket: Socket; start: (connection: NodeConnection) => void } {
  const { address, sourceIp } = options;
  if ("path" in address) {
    const socket = unixSocket(address.path, options.netns);
    return { socket, start: () => socket.connect({ path: kernelPath(address.path) }) };
  }
  const to = { host: address.ip, port: address.port };
  if (options.mark === undefined && options.netns === undefined) {
    const socket = new Socket(SOCKET_OPTIONS);
    return { socket, start: () => socket.connect(sourceIp === undefined ? to : { ...to, localAddress: sourceIp }) };
  }
  try {
    const fd = rawSocket({ type: "stream", address, netns: options.netns, mark: options.mark });
    if (sourceIp !== undefined) bindRaw(fd, { ip: sourceIp, port: 0 });
    const socket = new Socket({ ...SOCKET_OPTIONS, fd });
    return { socket, start: () => socket.connect(to) };
  } catch (cause) {
    const error = asHostError(cause, address);
    return { socket: new Socket(SOCKET_OPTIONS), start: (connection) => connection.fail(error.code, error.message) };
  }
}

function name(address: StreamAddress | SocketAddress): string {
  return "path" in address ? address.path : describe(address);
}

function asHostError(cause: unknown, address: StreamAddress): HostError {
  if (cause instanceof HostError) return cause;
  const { code = "EIO", message } = cause as Error & { code?: string };
  return new HostError(code, name(address), message, { cause });
}
