/**
 * Sockets made by FFI and adopted by Node: the only way to set SO_MARK, IP_TRANSPARENT or another network namespace
 * before bind and connect. And what is asked of sockets that Node made: SO_ORIGINAL_DST, SO_PEERCRED.
 */
import type { HostError } from "#host/host-error.ts";
import type { SocketAddress } from "#host/net.ts";
import { lastError, libc } from "#host/real/libc.ts";
import { insideNetns } from "#host/real/network-namespace.ts";
import { AF_INET, decodeSocketAddress, encodeSocketAddress, familyOf } from "./socket-address.ts";

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const SO_PEERCRED = 17;
const SO_MARK = 36;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_TRANSPARENT = 19;
const IPV6_TRANSPARENT = 75;
/** Same number for both families (linux/netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h). */
const SO_ORIGINAL_DST = 80;

export interface RawSocketOptions {
  readonly type: "stream" | "datagram";
  readonly address: SocketAddress;
  readonly netns?: string | undefined;
  readonly mark?: number | undefined;
  readonly transparent?: boolean | undefined;
  readonly reusePort?: boolean | undefined;
  readonly reuseAddress?: boolean | undefined;
}

/** An unbound descriptor; the caller owns it. */
export function rawSocket(options: RawSocketOptions): number {
  const family = familyOf(options.address.ip);
  const type = (options.type === "stream" ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK_CLOEXEC;
  const subject = describe(options.address);
  const fd = insideNetns(options.netns, () => libc().socket(family, type, 0));
  if (fd < 0) throw lastError(subject, "socket");
  if (options.mark !== undefined) setOption(fd, [SOL_SOCKET, SO_MARK, options.mark], `${subject}: SO_MARK needs CAP_NET_ADMIN`);
  if (options.reuseAddress === true) setOption(fd, [SOL_SOCKET, SO_REUSEADDR, 1], subject);
  if (options.reusePort === true) setOption(fd, [SOL_SOCKET, SO_REUSEPORT, 1], subject);
  if (options.transparent === true) {
    const transparent = family === AF_INET ? ([IPPROTO_IP, IP_TRANSPARENT, 1] as const) : ([IPPROTO_IPV6, IPV6_TRANSPARENT, 1] as const);
    setOption(fd, transparent, `${subject}: IP_TRANSPARENT needs CAP_NET_ADMIN`);
  }
  return fd;
}

/** Closes the descriptor when binding fails. */
export function bindRaw(fd: number, address: SocketAddress): void {
  const encoded = encodeSocketAddress(address);
  if (libc().bind(fd, encoded, encoded.length) < 0) throw closeAndFail(fd, describe(address), "bind");
}

const optionValue = Buffer.alloc(4);

function setOption(fd: number, [level, option, value]: readonly [number, number, number], subject: string): void {
  optionValue.writeInt32LE(value | 0);
  if (libc().setsockopt(fd, level, option, optionValue, 4) < 0) throw closeAndFail(fd, subject, "setsockopt");
}

function closeAndFail(fd: number, subject: string, call: string): HostError {
  const error = lastError(subject, call);
  libc().close(fd);
  return error;
}

export function describe(address: SocketAddress): string {
  return address.ip.includes(":") ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}

const originalDestinationValue = Buffer.alloc(28);
const originalDestinationLength = Buffer.alloc(4);

/** Where the client meant to connect before a `redirect` rule; undefined when no NAT changed it. */
export function originalDestination(fd: number, isV6Socket: boolean, local: SocketAddress | undefined): SocketAddress | undefined {
  originalDestinationLength.writeUInt32LE(28);
  // A dual-stack listener's IPv4 peers are asked for at the IPv4 level.
  const level = isV6Socket && local?.ip.includes(":") === true ? IPPROTO_IPV6 : IPPROTO_IP;
  if (libc().getsockopt(fd, level, SO_ORIGINAL_DST, originalDestinationValue, originalDestinationLength) < 0) return undefined;
  const found = decodeSocketAddress(originalDestinationValue);
  // Conntrack knows connections that came straight to us, too: they have no other destination.
  return found === undefined || (found.port === local?.port && found.ip === local.ip) ? undefined : found;
}

export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } | undefined {
  const value = Buffer.alloc(12);
  const length = Buffer.from([12, 0, 0, 0]);
  if (libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length) < 0) return undefined;
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
}
