/** Who sends what to whom: the facts of an IP packet that people ask for. IPv4 (RFC 791) and IPv6 (RFC 8200) without extension headers. */
import { formatIp, ipFromBytes } from "#lib/ip.ts";

export interface PacketFacts {
  readonly source: string;
  readonly destination: string;
  /** "tcp", "udp", "icmp", or the number. */
  readonly protocol: string;
  /** Absent when the protocol has none, or the packet is not a first fragment. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };

/** undefined: too short, or not IP. The bytes start at the IP header; what follows may be cut. */
export function readPacket(bytes: Uint8Array): PacketFacts | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4) {
    const headerBytes = ((bytes[0] ?? 0) & 15) * 4;
    if (headerBytes < 20 || bytes.length < headerBytes) return undefined;
    const isFirst = ((((bytes[6] ?? 0) & 0x1f) << 8) | (bytes[7] ?? 0)) === 0;
    return facts(bytes, { source: [12, 16], destination: [16, 20], protocol: bytes[9] ?? 0, payload: isFirst ? headerBytes : undefined });
  }
  if (version === 6 && bytes.length >= 40) return facts(bytes, { source: [8, 24], destination: [24, 40], protocol: bytes[6] ?? 0, payload: 40 });
  return undefined;
}

interface Places {
  readonly source: readonly [number, number];
  readonly destination: readonly [number, number];
  readonly protocol: number;
  readonly payload: number | undefined;
}

function facts(bytes: Uint8Array, { source, destination, protocol, payload }: Places): PacketFacts | undefined {
  const from = ipFromBytes(bytes.subarray(...source));
  const to = ipFromBytes(bytes.subarray(...destination));
  if (from === undefined || to === undefined) return undefined;
  const name = PROTOCOLS[protocol] ?? String(protocol);
  const known = { source: formatIp(from), destination: formatIp(to), protocol: name };
  if (payload === undefined || (name !== "tcp" && name !== "udp") || bytes.length < payload + 4) return known;
  const port = (at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return { ...known, sourcePort: port(payload), destinationPort: port(payload + 2) };
}
