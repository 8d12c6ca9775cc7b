/** Packets that the kernel copies to us: NFLOG groups, and the frames of a link (AF_PACKET). */
import { bindGroup, readPacket } from "#wire/netlink/nflog.ts";
import { readReplies } from "#wire/netlink/message.ts";
import type { NflogPacket } from "#host/netlink.ts";
import { lastError, libc } from "#host/real/libc.ts";
import { insideNetns } from "#host/real/network-namespace.ts";
import { watchReadable } from "./readable.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "./socket.ts";

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
/** Bursts of drops must not overflow it: 4 MiB holds about 20,000 small packets. */
const RECEIVE_QUEUE_BYTES = 4 * 1024 * 1024;
/** Headers and the start of the payload. */
const COPY_BYTES = 2_048;
/** Largest frame with segmentation offload. */
const FRAME_BYTES = 65_536 + 256;
/** Packets handled before other events get their turn. */
const BATCH = 512;

const frameBuffer = Buffer.alloc(FRAME_BYTES);

export function receiveNflog(netns: string | undefined, group: number, received: (packet: NflogPacket) => void): { close(): void } {
  const socket = new NetlinkSocket(NETLINK_NETFILTER, netns);
  try {
    for (const request of bindGroup(group, COPY_BYTES)) socket.ask(`NFLOG group ${group}`, request);
  } catch (error) {
    socket.close();
    throw error;
  }
  growQueue(socket.fd);
  return drained(socket.fd, (length) => {
    for (const reply of readReplies(frameBuffer.subarray(0, length))) {
      const packet = reply.kind === "data" ? readPacket(reply.type, reply.payload) : undefined;
      if (packet !== undefined) received({ ...packet, payload: Buffer.from(packet.payload) });
    }
  });
}

const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o2004000;
const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;

const from = Buffer.alloc(20);
const fromLength = Buffer.alloc(4);

export function captureFrames(netns: string | undefined, link: string, received: (frame: Uint8Array, outgoing: boolean) => void): { close(): void } {
  const c = libc();
  const [fd, index] = insideNetns(netns, () => [c.socket(AF_PACKET, SOCK_RAW_NONBLOCK_CLOEXEC, 0), c.if_nametoindex(link)] as const);
  if (fd < 0) throw lastError(link, "capture: socket");
  // struct sockaddr_ll: family, protocol (network order), index.
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(index, 4);
  if (index === 0 || c.bind(fd, address, address.length) < 0) {
    const error = lastError(link, "capture: bind");
    c.close(fd);
    throw error;
  }
  growQueue(fd);
  // The kind of packet is byte 10 of the address.
  return drained(fd, (length) => received(frameBuffer.subarray(0, length), from[10] === PACKET_OUTGOING));
}

function growQueue(fd: number): void {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(RECEIVE_QUEUE_BYTES);
  // Beyond net.core.rmem_max only with CAP_NET_ADMIN over the machine; else what is allowed.
  if (libc().setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4) < 0) libc().setsockopt(fd, SOL_SOCKET, SO_RCVBUF, size, 4);
}

/** Reads what is there whenever there is something. A full queue loses packets (ENOBUFS), never the socket. */
function drained(fd: number, received: (length: number) => void): { close(): void } {
  let isOpen = true;
  const watch = watchReadable(fd, () => {
    for (let i = 0; isOpen && i < BATCH; i += 1) {
      fromLength.writeUInt32LE(from.length);
      const length = libc().recvfrom(fd, frameBuffer, frameBuffer.length, 0, from, fromLength);
      if (length <= 0) return;
      received(length);
    }
  });
  return {
    close() {
      if (!isOpen) return;
      isOpen = false;
      watch.close(() => libc().close(fd));
    },
  };
}
