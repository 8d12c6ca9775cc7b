/**
 * Unix sockets that Node's own API cannot make: abstract names ("@name", unix(7)), which belong to a network namespace
 * and to no file system, in a namespace that is not ours.
 */
import type { Server } from "node:net";
import { Socket } from "node:net";
import { HostError } from "#host/host-error.ts";
import { lastError, libc } from "#host/real/libc.ts";
import { insideNetns } from "#host/real/network-namespace.ts";
import { SOCKET_OPTIONS } from "./connection.ts";

const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o2004000;
/** sun_path (linux/un.h). */
const MAX_PATH_BYTES = 108;

export function isAbstract(path: string): boolean {
  return path.startsWith("@");
}

/** As Node and the kernel want it. */
export function kernelPath(path: string): string {
  return isAbstract(path) ? `\0${path.slice(1)}` : path;
}

export interface UnixListenOptions {
  readonly backlog: number;
  readonly mode?: number | undefined;
  readonly netns?: string | undefined;
}

/** The socket file is made with its mode, so that nobody can connect in between: listen binds before it returns. */
export function listenUnix(server: Server, path: string, { backlog, mode, netns }: UnixListenOptions): void {
  if (netns !== undefined && isAbstract(path)) {
    server.listen({ fd: boundUnix(path, netns), backlog });
    return;
  }
  const before = mode === undefined ? undefined : process.umask(0o777 & ~mode);
  try {
    server.listen({ path: kernelPath(path), backlog });
  } finally {
    if (before !== undefined) process.umask(before);
  }
}

/** Of a namespace: not yet connected. */
export function unixSocket(path: string, netns: string | undefined): Socket {
  return netns === undefined || !isAbstract(path) ? new Socket(SOCKET_OPTIONS) : new Socket({ ...SOCKET_OPTIONS, fd: rawUnix(path, netns) });
}

function rawUnix(path: string, netns: string): number {
  const fd = insideNetns(netns, () => libc().socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
  if (fd < 0) throw lastError(path, "socket");
  return fd;
}

function boundUnix(path: string, netns: string): number {
  const name = Buffer.from(kernelPath(path), "utf8");
  if (name.length > MAX_PATH_BYTES) throw new HostError("ENAMETOOLONG", path, `a Unix socket's name has at most ${MAX_PATH_BYTES} bytes`);
  const address = Buffer.alloc(2 + name.length);
  address.writeUInt16LE(AF_UNIX);
  name.copy(address, 2);
  const fd = rawUnix(path, netns);
  if (libc().bind(fd, address, address.length) < 0) {
    const error = lastError(`${path} in ${netns}`, "bind");
    libc().close(fd);
    throw error;
  }
  return fd;
}
