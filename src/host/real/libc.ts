/**
 * The C library by FFI: what Node has no API for (SO_MARK, setns, SO_ORIGINAL_DST, netlink, mount). koffi is loaded at
 * the first call, because it costs 10 ms and programs that only talk HTTP never need it.
 */
import { createRequire } from "node:module";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";
import { HostError } from "#host/host-error.ts";
import type Koffi from "koffi";

/** Buffers pass as pointers; each call is synchronous on this thread. Results below 0 are failures: ask `errno`. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  /** `length` is a 4-byte in-out value. */
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  sendto(fd: number, bytes: Uint8Array, length: number, flags: number, to: Uint8Array, toLength: number): number;
  recv(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  /** As `send` and `recv` with memory of `nativeMemory`, by its address. */
  sendAt(fd: number, address: number, length: number, flags: number): number;
  recvAt(fd: number, address: number, length: number, flags: number): number;
  recvfrom(fd: number, bytes: Uint8Array, length: number, flags: number, from: Uint8Array, fromLength: Uint8Array): number;
  open(path: string, flags: number): number;
  close(fd: number): number;
  setns(fd: number, kind: number): number;
  unshare(flags: number): number;
  mount(source: string | null, target: string, type: string | null, flags: number, data: string | null): number;
  umount2(target: string, flags: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  if_nametoindex(name: string): number;
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  errno(): number;
}

/** The node binary links the C library, OpenSSL and libuv, so its own symbol table has everything. */
export function foreign(): { readonly koffi: typeof Koffi; readonly declare: (definition: string) => never } {
  const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
  const library = koffi.load(null);
  return { koffi, declare: (definition) => library.func(definition) as never };
}

/** Memory that stays where it is until the process ends. */
export function nativeMemory(size: number): { readonly bytes: ArrayBuffer; readonly address: number } {
  const { koffi } = foreign();
  const pointer: unknown = koffi.alloc("char", size);
  return { bytes: koffi.view(pointer, size), address: Number(koffi.address(pointer)) };
}

let loaded: Libc | undefined;

export function libc(): Libc {
  return (loaded ??= load());
}

function load(): Libc {
  const { koffi, declare } = foreign();
  return {
    socket: declare("int socket(int domain, int type, int protocol)"),
    bind: declare("int bind(int fd, const void *address, uint32_t length)"),
    listen: declare("int listen(int fd, int backlog)"),
    setsockopt: declare("int setsockopt(int fd, int level, int option, const void *value, uint32_t length)"),
    getsockopt: declare("int getsockopt(int fd, int level, int option, void *value, void *length)"),
    getsockname: declare("int getsockname(int fd, void *address, void *length)"),
    send: declare("long send(int fd, const void *bytes, size_t length, int flags)"),
    sendto: declare("long sendto(int fd, const void *bytes, size_t length, int flags, const void *to, uint32_t toLength)"),
    recv: declare("long recv(int fd, void *bytes, size_t length, int flags)"),
    // `int` instead of `size_t` and `long`: enough for us, and cheaper to convert.
    sendAt: declare("int send(int fd, uintptr_t bytes, int length, int flags)"),
    recvAt: declare("int recv(int fd, uintptr_t bytes, int length, int flags)"),
    recvfrom: declare("long recvfrom(int fd, void *bytes, size_t length, int flags, void *from, void *fromLength)"),
    open: declare("int open(const char *path, int flags)"),
    close: declare("int close(int fd)"),
    setns: declare("int setns(int fd, int kind)"),
    unshare: declare("int unshare(int flags)"),
    mount: declare("int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)"),
    umount2: declare("int umount2(const char *target, int flags)"),
    ioctl: declare("int ioctl(int fd, unsigned long request, void *argument)"),
    if_nametoindex: declare("uint32_t if_nametoindex(const char *name)"),
    prctl: declare("int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)"),
    errno: () => koffi.errno(),
  };
}

/** The last failed call as an error that names what was asked. */
export function lastError(subject: string, call: string): HostError {
  return systemError(subject, call, libc().errno());
}

export function systemError(subject: string, call: string, errno: number): HostError {
  return new HostError(errnoName(errno), subject, `${call}: ${getSystemErrorMessage(-errno) ?? `error ${errno}`}`);
}

/** "ECONNREFUSED" of 111. */
export function errnoName(errno: number): string {
  return getSystemErrorName(-errno);
}
