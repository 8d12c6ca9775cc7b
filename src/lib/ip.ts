/**
 * IP addresses and ranges as values, IPv4 and IPv6. An address is a number with its family, so that ranges, order and
 * "the nth address" are arithmetic. IPv4-mapped IPv6 addresses (::ffff:10.0.0.1) stay IPv6; `unmapped` folds them.
 */
export interface Ip {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface Cidr {
  /** First address of the range: host bits are zero. */
  readonly ip: Ip;
  readonly prefix: number;
}

/** undefined when the text is not an address. Leading zeros in IPv4 are refused (some readers take them as octal). */
export function parseIp(text: string): Ip | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** For text that our own code made or that validation has passed. */
export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`"${text}" is not an IP address`);
  return parsed;
}

function parseIpv4(text: string): Ip | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return { family: 4, value: BigInt(value) };
}

function parseIpv6(text: string): Ip | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array.from({ length: missing }, () => 0), ...tail]) value = (value << 16n) | BigInt(group);
  return { family: 6, value };
}

/** Groups of one side of "::"; `isLast`: the text may end in a dotted IPv4 address. */
function groupsOf(text: string, isLast: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (isLast && index === parts.length - 1 && part.includes(".")) {
      const four = parseIpv4(part);
      if (four === undefined) return undefined;
      groups.push(Number(four.value >> 16n), Number(four.value & 0xffffn));
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** Canonical text (IPv6: RFC 5952). */
export function formatIp(address: Ip): string {
  if (address.family === 4) return ipBytes(address).join(".");
  const bytes = ipBytes(address);
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  if (address.value >> 32n === 0xffffn) return `::ffff:${bytes.slice(12).join(".")}`;
  const zeros = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (zeros.length < 2) return hex.join(":");
  return `${hex.slice(0, zeros.start).join(":")}::${hex.slice(zeros.start + zeros.length).join(":")}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    let end = start;
    while (end < groups.length && groups[end] === 0) end += 1;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

export function ipBits(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Network order: 4 or 16 bytes. */
export function ipBytes(address: Ip): Uint8Array {
  const bytes = new Uint8Array(ipBits(address.family) / 8);
  let rest = address.value;
  for (let i = bytes.length - 1; i >= 0; i -= 1) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** undefined unless there are 4 or 16 bytes. */
export function ipFromBytes(bytes: Uint8Array): Ip | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** An IPv4-mapped IPv6 address as the IPv4 address that it stands for; others unchanged. */
export function unmapped(address: Ip): Ip {
  return address.family === 6 && address.value >> 32n === 0xffffn ? { family: 4, value: address.value & 0xffff_ffffn } : address;
}

/** Families apart (IPv4 first), then by number. */
export function compareIps(a: Ip, b: Ip): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/** "10.0.0.0/8", or a bare address as a range of one. Host bits are cut off. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = ipBits(address.family);
  const prefixText = slash < 0 ? String(bits) : text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(prefixText) || Number(prefixText) > bits) return undefined;
  return network(address, Number(prefixText));
}

/** For text that our own code made or that validation has passed. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`"${text}" is not an address range such as 10.0.0.0/8`);
  return parsed;
}

export function formatCidr(range: Cidr): string {
  return `${formatIp(range.ip)}/${range.prefix}`;
}

/** The range of that prefix length that the address is in. */
export function network(address: Ip, prefix: number): Cidr {
  const hostBits = BigInt(ipBits(address.family) - prefix);
  return { ip: { family: address.family, value: (address.value >> hostBits) << hostBits }, prefix };
}

export function contains(range: Cidr, address: Ip): boolean {
  if (range.ip.family !== address.family) return false;
  const hostBits = BigInt(ipBits(address.family) - range.prefix);
  return range.ip.value >> hostBits === address.value >> hostBits;
}

/** Whether every address of `inner` is in `outer`. */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return inner.prefix >= outer.prefix && contains(outer, inner.ip);
}

/** How many addresses the range has. */
export function cidrSize(range: Cidr): bigint {
  return 1n << BigInt(ipBits(range.ip.family) - range.prefix);
}

/** The address `index` after the first one; undefined outside the range. */
export function nthAddress(range: Cidr, index: number | bigint): Ip | undefined {
  const offset = BigInt(index);
  if (offset < 0n || offset >= cidrSize(range)) return undefined;
  return { family: range.ip.family, value: range.ip.value + offset };
}

export function lastAddress(range: Cidr): Ip {
  return { family: range.ip.family, value: range.ip.value + cidrSize(range) - 1n };
}
