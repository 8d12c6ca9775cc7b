/** RTM_*ADDR (rtnetlink(7), linux/if_addr.h): addresses of links. */
import { formatIp, ipBytes, ipFromBytes, parseIp } from "#lib/ip.ts";
import type { Ip } from "#lib/ip.ts";
import { AttributeWriter, readAttributes } from "./bytes.ts";
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
/** No duplicate address detection: our addresses are ours. */
const IFA_F_NODAD = 0x02;
export const AF_INET = 2;
export const AF_INET6 = 10;

export interface AddressMessage {
  readonly linkIndex: number;
  readonly ip: string;
  readonly prefix: number;
}

export function getAddresses(): NetlinkRequest {
  return { type: RTM_GETADDR, flags: NLM_F_DUMP, payload: Buffer.alloc(8) };
}

export function newAddress(address: AddressMessage): NetlinkRequest {
  return { type: RTM_NEWADDR, flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, payload: payloadOf(address) };
}

export function deleteAddress(address: AddressMessage): NetlinkRequest {
  return { type: RTM_DELADDR, flags: NLM_F_ACK, payload: payloadOf(address) };
}

/** struct ifaddrmsg: family, prefix length, flags, scope, index. */
function payloadOf(address: AddressMessage): Buffer {
  const ip = requireIp(address.ip, "link address");
  const header = Buffer.alloc(8);
  header.writeUInt8(familyOf(ip), 0);
  header.writeUInt8(address.prefix, 1);
  header.writeUInt8(ip.family === 6 ? IFA_F_NODAD : 0, 2);
  header.writeUInt32LE(address.linkIndex, 4);
  return new AttributeWriter().raw(header).bytes(IFA_LOCAL, ipBytes(ip)).bytes(IFA_ADDRESS, ipBytes(ip)).finish();
}

export function familyOf(ip: Ip): number {
  return ip.family === 4 ? AF_INET : AF_INET6;
}

export function requireIp(text: string, what: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(`${what} "${text}" is not an IP address`);
  return ip;
}

export function ipTextOf(value: Buffer | undefined): string | undefined {
  const ip = value === undefined ? undefined : ipFromBytes(value);
  return ip === undefined ? undefined : formatIp(ip);
}

export function readAddress(type: number, payload: Buffer): AddressMessage | undefined {
  if (type !== RTM_NEWADDR || payload.length < 8) return undefined;
  const attributes = readAttributes(payload.subarray(8));
  const ip = ipTextOf(attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS));
  return ip === undefined ? undefined : { linkIndex: payload.readUInt32LE(4), ip, prefix: payload.readUInt8(1) };
}
