/** RTM_*NEIGH (rtnetlink(7), linux/neighbour.h): ARP and NDP entries, and forwarding entries (FDB) of bridges and VXLAN. */
import { ipBytes } from "#lib/ip.ts";
import { familyOf, ipTextOf, requireIp } from "./address.ts";
import { AttributeWriter, macBytes, macOf, readAttributes } from "./bytes.ts";
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_REACHABLE = 0x02;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_SELF = 0x02;
const AF_BRIDGE = 7;
const ALL_ZEROS = "00:00:00:00:00:00";

export interface NeighbourMessage {
  readonly linkIndex: number;
  readonly family: "ip" | "bridge";
  /** The address that the entry is for; of a forwarding entry: the remote VTEP. */
  readonly ip: string | undefined;
  readonly mac: string;
  readonly permanent: boolean;
}

export function getNeighbours(family: "ip" | "bridge"): NetlinkRequest {
  // Family 0 asks for IPv4 and IPv6. Bridges want a whole struct ifinfomsg in front.
  const payload = Buffer.alloc(family === "bridge" ? 16 : 12);
  payload.writeUInt8(family === "bridge" ? AF_BRIDGE : 0, 0);
  return { type: RTM_GETNEIGH, flags: NLM_F_DUMP, payload };
}

export function newNeighbour(neighbour: NeighbourMessage): NetlinkRequest {
  // The entry for unknown destinations (all zeros) lists several VTEPs: they are appended.
  const flags = neighbour.family === "bridge" && neighbour.mac === ALL_ZEROS ? NLM_F_APPEND : NLM_F_REPLACE;
  return { type: RTM_NEWNEIGH, flags: NLM_F_ACK | NLM_F_CREATE | flags, payload: payloadOf(neighbour) };
}

export function deleteNeighbour(neighbour: NeighbourMessage): NetlinkRequest {
  return { type: RTM_DELNEIGH, flags: NLM_F_ACK, payload: payloadOf(neighbour) };
}

/** struct ndmsg: family, padding, index, state, flags, type. */
function payloadOf(neighbour: NeighbourMessage): Buffer {
  const ip = neighbour.ip === undefined ? undefined : requireIp(neighbour.ip, "neighbour");
  const isBridge = neighbour.family === "bridge";
  const header = Buffer.alloc(12);
  header.writeUInt8(isBridge || ip === undefined ? AF_BRIDGE : familyOf(ip), 0);
  header.writeInt32LE(neighbour.linkIndex, 4);
  header.writeUInt16LE((neighbour.permanent ? NUD_PERMANENT : NUD_REACHABLE) | (isBridge && neighbour.permanent ? NUD_NOARP : 0), 8);
  header.writeUInt8(isBridge ? NTF_SELF : 0, 10);
  const payload = new AttributeWriter().raw(header);
  if (ip !== undefined) payload.bytes(NDA_DST, ipBytes(ip));
  return payload.bytes(NDA_LLADDR, macBytes(neighbour.mac)).finish();
}

/** undefined: not an entry with an address (incomplete, failed). */
export function readNeighbour(type: number, payload: Buffer): NeighbourMessage | undefined {
  if (type !== RTM_NEWNEIGH || payload.length < 12) return undefined;
  const attributes = readAttributes(payload.subarray(12));
  const mac = macOf(attributes.get(NDA_LLADDR));
  const state = payload.readUInt16LE(8);
  if (mac === undefined) return undefined;
  const isBridge = payload.readUInt8(0) === AF_BRIDGE;
  return {
    linkIndex: payload.readInt32LE(4),
    family: isBridge ? "bridge" : "ip",
    ip: ipTextOf(attributes.get(NDA_DST)),
    mac,
    permanent: (state & NUD_PERMANENT) !== 0,
  };
}
