/** struct sockaddr_in and sockaddr_in6 (linux/in.h, linux/in6.h). */
import { formatIp, ipBytes, ipFromBytes, parseIp, unmapped } from "#lib/ip.ts";
import { HostError } from "#host/host-error.ts";
import type { SocketAddress } from "#host/net.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;

export function familyOf(ip: string): typeof AF_INET | typeof AF_INET6 {
  return ip.includes(":") ? AF_INET6 : AF_INET;
}

export function encodeSocketAddress(address: SocketAddress): Buffer {
  const parsed = parseIp(address.ip);
  if (parsed === undefined) throw new HostError("EINVAL", `${address.ip}:${address.port}`, "not an IP address; names must be resolved before connecting");
  const bytes = ipBytes(parsed);
  const buffer = Buffer.alloc(parsed.family === 4 ? 16 : 28);
  // The family is in the machine's order; every machine that we run on is little-endian.
  buffer.writeUInt16LE(parsed.family === 4 ? AF_INET : AF_INET6, 0);
  buffer.writeUInt16BE(address.port, 2);
  buffer.set(bytes, parsed.family === 4 ? 4 : 8);
  return buffer;
}

/** IPv4-mapped addresses are folded to IPv4. undefined when it is neither family. */
export function decodeSocketAddress(buffer: Buffer): SocketAddress | undefined {
  const family = buffer.readUInt16LE(0);
  const port = buffer.readUInt16BE(2);
  if (family === AF_INET) return { ip: `${buffer[4]}.${buffer[5]}.${buffer[6]}.${buffer[7]}`, port };
  if (family !== AF_INET6) return undefined;
  const ip = ipFromBytes(buffer.subarray(8, 24));
  return ip === undefined ? undefined : { ip: formatIp(unmapped(ip)), port };
}

const MAPPED = "::ffff:";

/** Node prints an IPv4 peer of a dual-stack listener as ::ffff:10.0.0.1. */
export function plainIp(ip: string): string {
  return ip.startsWith(MAPPED) && ip.includes(".") ? ip.slice(MAPPED.length) : ip;
}
