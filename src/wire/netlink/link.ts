/** RTM_*LINK (rtnetlink(7), linux/if_link.h): network devices. */
import { ipBytes, parseIp } from "#lib/ip.ts";
import { AttributeWriter, macBytes, macOf, readAttributes, textOf, u32Of } from "./bytes.ts";
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFF_UP = 1;
/** IFNAMSIZ with its zero. */
const MAX_NAME = 15;

export interface LinkMessage {
  readonly index: number;
  readonly name: string;
  readonly kind: string | undefined;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly masterIndex: number | undefined;
}

/** What every new link may have. `netnsFd`: descriptor of the namespace that it is made in. */
export interface LinkIdentity {
  readonly name: string;
  readonly mtu?: number | undefined;
  readonly mac?: string | undefined;
  readonly netnsFd?: number | undefined;
}

export type LinkKind =
  | { readonly kind: "veth"; readonly peer: LinkIdentity }
  | { readonly kind: "bridge" }
  | { readonly kind: "vxlan"; readonly vni: number; readonly port: number; readonly local: string; readonly deviceIndex: number; readonly learning: boolean };

/** struct ifinfomsg: family, type, index, flags, change mask. */
function ifinfo(options: { readonly index?: number; readonly flags?: number; readonly change?: number } = {}): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(options.index ?? 0, 4);
  header.writeUInt32LE(options.flags ?? 0, 8);
  header.writeUInt32LE(options.change ?? 0, 12);
  return header;
}

export function getLinks(): NetlinkRequest {
  return { type: RTM_GETLINK, flags: NLM_F_DUMP, payload: ifinfo() };
}

export function newLink(link: LinkIdentity, kind: LinkKind): NetlinkRequest {
  const payload = new AttributeWriter().raw(ifinfo());
  identity(payload, link);
  payload.nested(IFLA_LINKINFO, (info) => {
    info.text(IFLA_INFO_KIND, kind.kind);
    if (kind.kind === "veth") {
      info.nested(IFLA_INFO_DATA, (data) => data.nested(VETH_INFO_PEER, (peer) => identity(peer.raw(ifinfo()), kind.peer)));
    } else if (kind.kind === "vxlan") info.nested(IFLA_INFO_DATA, (data) => vxlan(data, kind));
  });
  return { type: RTM_NEWLINK, flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, payload: payload.finish() };
}

function identity(writer: AttributeWriter, link: LinkIdentity): void {
  writer.text(IFLA_IFNAME, checkedName(link.name));
  if (link.mtu !== undefined) writer.u32(IFLA_MTU, link.mtu);
  if (link.mac !== undefined) writer.bytes(IFLA_ADDRESS, macBytes(link.mac));
  if (link.netnsFd !== undefined) writer.u32(IFLA_NET_NS_FD, link.netnsFd);
}

function checkedName(name: string): string {
  if (name.length === 0 || name.length > MAX_NAME || /[\s/]/.test(name))
    throw new Error(`"${name}" is not a link name: 1 to ${MAX_NAME} characters, no "/" or space`);
  return name;
}

function vxlan(data: AttributeWriter, kind: Extract<LinkKind, { kind: "vxlan" }>): void {
  const local = parseIp(kind.local);
  if (local === undefined) throw new Error(`VXLAN local address "${kind.local}" is not an IP address`);
  data
    .u32(IFLA_VXLAN_ID, kind.vni)
    .u32(IFLA_VXLAN_LINK, kind.deviceIndex)
    .bytes(local.family === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, ipBytes(local))
    .u8(IFLA_VXLAN_LEARNING, kind.learning ? 1 : 0)
    .u16be(IFLA_VXLAN_PORT, kind.port);
}

export interface LinkChangeMessage {
  readonly index: number;
  readonly up?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly mac?: string | undefined;
  /** 0: detach. */
  readonly masterIndex?: number | undefined;
  readonly netnsFd?: number | undefined;
}

export function changeLink(change: LinkChangeMessage): NetlinkRequest {
  const isUpDown = change.up !== undefined;
  const payload = new AttributeWriter().raw(ifinfo({ index: change.index, flags: change.up === true ? IFF_UP : 0, change: isUpDown ? IFF_UP : 0 }));
  if (change.mtu !== undefined) payload.u32(IFLA_MTU, change.mtu);
  if (change.mac !== undefined) payload.bytes(IFLA_ADDRESS, macBytes(change.mac));
  if (change.masterIndex !== undefined) payload.u32(IFLA_MASTER, change.masterIndex);
  if (change.netnsFd !== undefined) payload.u32(IFLA_NET_NS_FD, change.netnsFd);
  return { type: RTM_NEWLINK, flags: NLM_F_ACK, payload: payload.finish() };
}

export function deleteLink(index: number): NetlinkRequest {
  return { type: RTM_DELLINK, flags: NLM_F_ACK, payload: ifinfo({ index }) };
}

/** undefined: not a link message. */
export function readLink(type: number, payload: Buffer): LinkMessage | undefined {
  if (type !== RTM_NEWLINK || payload.length < 16) return undefined;
  const attributes = readAttributes(payload.subarray(16));
  const info = attributes.get(IFLA_LINKINFO);
  return {
    index: payload.readInt32LE(4),
    name: textOf(attributes.get(IFLA_IFNAME)) ?? "",
    kind: info === undefined ? undefined : textOf(readAttributes(info).get(IFLA_INFO_KIND)),
    mac: macOf(attributes.get(IFLA_ADDRESS)) ?? "00:00:00:00:00:00",
    mtu: u32Of(attributes.get(IFLA_MTU)) ?? 0,
    up: (payload.readUInt32LE(8) & IFF_UP) !== 0,
    masterIndex: u32Of(attributes.get(IFLA_MASTER)),
  };
}
