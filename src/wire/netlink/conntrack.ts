/** nfnetlink's conntrack (linux/netfilter/nfnetlink_conntrack.h): the table of connections, and deleting from it. */
import { ipTextOf } from "./address.ts";
import { AttributeWriter, readAttributes } from "./bytes.ts";
import { NLM_F_ACK, NLM_F_DUMP } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_NEW = 0;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;

export interface Tuple {
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
}

export interface ConntrackEntry {
  /** AF_INET or AF_INET6. */
  readonly family: number;
  /** 6: TCP, 17: UDP. */
  readonly protocol: number;
  readonly original: Tuple;
  readonly reply: Tuple;
  /** What names the entry to the kernel: its tuple and its id, as they came. */
  readonly handle: { readonly tuple: Buffer; readonly id: Buffer | undefined };
}

export function getConntrack(family: number): NetlinkRequest {
  return { type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, payload: nfgen(family) };
}

/** With the entry's id, so that a new connection with the same tuple is not hit. */
export function deleteConntrack(entry: Pick<ConntrackEntry, "family" | "handle">): NetlinkRequest {
  const payload = new AttributeWriter().raw(nfgen(entry.family)).bytes(CTA_TUPLE_ORIG | 0x8000, entry.handle.tuple);
  if (entry.handle.id !== undefined) payload.bytes(CTA_ID, entry.handle.id);
  return { type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK, payload: payload.finish() };
}

/** struct nfgenmsg: family, version, resource id. */
export function nfgen(family: number, resource = 0): Buffer {
  return Buffer.from([family, 0, (resource >> 8) & 0xff, resource & 0xff]);
}

export function readConntrack(type: number, payload: Buffer): ConntrackEntry | undefined {
  if (type !== ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW) || payload.length < 4) return undefined;
  const attributes = readAttributes(payload.subarray(4));
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  const original = readTuple(tuple);
  const reply = readTuple(attributes.get(CTA_TUPLE_REPLY));
  if (tuple === undefined || original === undefined || reply === undefined) return undefined;
  // The bytes are borrowed from the receive buffer; the handle outlives it.
  const handle = { tuple: Buffer.from(tuple), id: copied(attributes.get(CTA_ID)) };
  return { family: payload.readUInt8(0), protocol: original.protocol, original: original.tuple, reply: reply.tuple, handle };
}

function copied(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from(value);
}

function readTuple(bytes: Buffer | undefined): { readonly protocol: number; readonly tuple: Tuple } | undefined {
  if (bytes === undefined) return undefined;
  const parts = readAttributes(bytes);
  const ip = readAttributes(parts.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const proto = readAttributes(parts.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const source = ipTextOf(ip.get(CTA_IP_V4_SRC) ?? ip.get(CTA_IP_V6_SRC));
  const destination = ipTextOf(ip.get(CTA_IP_V4_DST) ?? ip.get(CTA_IP_V6_DST));
  if (source === undefined || destination === undefined) return undefined;
  const portOf = (type: number): number => {
    const value = proto.get(type);
    return value === undefined || value.length < 2 ? 0 : value.readUInt16BE(0);
  };
  return {
    protocol: proto.get(CTA_PROTO_NUM)?.[0] ?? 0,
    tuple: { source: { ip: source, port: portOf(CTA_PROTO_SRC_PORT) }, destination: { ip: destination, port: portOf(CTA_PROTO_DST_PORT) } },
  };
}
