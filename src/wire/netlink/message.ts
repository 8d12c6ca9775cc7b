/**
 * Netlink messages (linux/netlink.h, struct nlmsghdr), several a datagram:
 *
 *   0        4        6        8        12       16
 *   | length | type   | flags  | seq    | port   | payload ...
 *
 * A request with NLM_F_ACK is answered by an error message whose code 0 means success; a dump ends with NLMSG_DONE.
 */
import { align, readAttributes, textOf } from "./bytes.ts";

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;
const HEADER = 16;

export interface NetlinkRequest {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

export type NetlinkReply =
  | { readonly kind: "data"; readonly sequence: number; readonly type: number; readonly payload: Buffer }
  /** errno 0: acknowledged. `message` is the kernel's own explanation (extended ack), when it gave one. */
  | { readonly kind: "result"; readonly sequence: number; readonly errno: number; readonly message: string | undefined }
  /** `isTorn`: what was dumped changed meanwhile; dump again. */
  | { readonly kind: "done"; readonly sequence: number; readonly errno: number; readonly isTorn: boolean };

export function encodeRequest(request: NetlinkRequest, sequence: number): Buffer {
  const length = HEADER + request.payload.length;
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(request.type, 4);
  bytes.writeUInt16LE(request.flags | NLM_F_REQUEST, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(request.payload, HEADER);
  return bytes;
}

/** The messages of one datagram. One that is cut off ends the list. */
export function readReplies(datagram: Buffer): NetlinkReply[] {
  const replies: NetlinkReply[] = [];
  let at = 0;
  while (at + HEADER <= datagram.length) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER || at + length > datagram.length) break;
    replies.push(readReply(datagram.subarray(at, at + length)));
    at += align(length);
  }
  return replies;
}

function readReply(message: Buffer): NetlinkReply {
  const type = message.readUInt16LE(4);
  const flags = message.readUInt16LE(6);
  const sequence = message.readUInt32LE(8);
  const payload = message.subarray(HEADER);
  if (type === NLMSG_DONE) {
    const errno = payload.length >= 4 ? -payload.readInt32LE(0) : 0;
    return { kind: "done", sequence, errno: Math.max(0, errno), isTorn: (flags & NLM_F_DUMP_INTR) !== 0 };
  }
  if (type !== NLMSG_ERROR || payload.length < 4) return { kind: "data", sequence, type, payload };
  return { kind: "result", sequence, errno: Math.abs(payload.readInt32LE(0)), message: explanation(payload, flags) };
}

/** The extended ack behind the error and the copy of our request. */
function explanation(payload: Buffer, flags: number): string | undefined {
  if ((flags & NLM_F_ACK_TLVS) === 0 || payload.length < 4 + HEADER) return undefined;
  const copied = (flags & NLM_F_CAPPED) === 0 ? align(payload.readUInt32LE(4)) : HEADER;
  const attributes = readAttributes(payload.subarray(4 + copied));
  const text = textOf(attributes.get(NLMSGERR_ATTR_MSG));
  const offset = attributes.get(NLMSGERR_ATTR_OFFS);
  if (text === undefined) return undefined;
  return offset === undefined || offset.length < 4 ? text : `${text} (at byte ${offset.readUInt32LE(0)} of the request)`;
}
