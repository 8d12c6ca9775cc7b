/** nfnetlink_log (linux/netfilter/nfnetlink_log.h): packets that a rule with `log group N` copies to us. */
import { AttributeWriter, readAttributes, textOf } from "./bytes.ts";
import { nfgen } from "./conntrack.ts";
import { NLM_F_ACK } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";

const NFNL_SUBSYS_ULOG = 4;
const NFULNL_MSG_PACKET = 0;
const NFULNL_MSG_CONFIG = 1;
const NFULA_IFINDEX_INDEV = 4;
const NFULA_IFINDEX_OUTDEV = 5;
const NFULA_PAYLOAD = 9;
const NFULA_PREFIX = 10;
const NFULA_CFG_CMD = 1;
const NFULA_CFG_MODE = 2;
const NFULA_CFG_TIMEOUT = 4;
/** In hundredths of a second: how long the kernel gathers packets before it hands them over (its default is a second). */
const FLUSH_AFTER = 5;
const NFULNL_CFG_CMD_BIND = 1;
const NFULNL_COPY_PACKET = 2;

export interface LoggedPacket {
  readonly group: number;
  readonly prefix: string;
  readonly inLink: number | undefined;
  readonly outLink: number | undefined;
  /** From the network header on. Borrowed. */
  readonly payload: Buffer;
}

/** Binds the socket to a group, and asks for at most `copyBytes` of each packet. */
export function bindGroup(group: number, copyBytes: number): readonly NetlinkRequest[] {
  const type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG;
  const bind = new AttributeWriter().raw(nfgen(0, group)).u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND).finish();
  // struct nfulnl_msg_config_mode: copy range (big-endian), mode, padding.
  const mode = Buffer.alloc(6);
  mode.writeUInt32BE(copyBytes, 0);
  mode.writeUInt8(NFULNL_COPY_PACKET, 4);
  const copy = new AttributeWriter().raw(nfgen(0, group)).bytes(NFULA_CFG_MODE, mode).u32be(NFULA_CFG_TIMEOUT, FLUSH_AFTER).finish();
  return [
    { type, flags: NLM_F_ACK, payload: bind },
    { type, flags: NLM_F_ACK, payload: copy },
  ];
}

export function readPacket(type: number, payload: Buffer): LoggedPacket | undefined {
  if (type !== ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET) || payload.length < 4) return undefined;
  const attributes = readAttributes(payload.subarray(4));
  return {
    group: payload.readUInt16BE(2),
    prefix: textOf(attributes.get(NFULA_PREFIX)) ?? "",
    inLink: linkOf(attributes.get(NFULA_IFINDEX_INDEV)),
    outLink: linkOf(attributes.get(NFULA_IFINDEX_OUTDEV)),
    payload: attributes.get(NFULA_PAYLOAD) ?? Buffer.alloc(0),
  };
}

function linkOf(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32BE(0);
}
