/**
 * A netlink socket that asks and is answered in one turn: the kernel handles rtnetlink and nfnetlink requests inside
 * send(2), and continues a dump inside recv(2), so that nothing ever has to be waited for.
 */
import { readReplies, encodeRequest } from "#wire/netlink/message.ts";
import type { NetlinkRequest } from "#wire/netlink/message.ts";
import { HostError } from "#host/host-error.ts";
import { errnoName, lastError, libc } from "#host/real/libc.ts";
import { insideNetns } from "#host/real/network-namespace.ts";
import { getSystemErrorMessage } from "node:util";

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o2004000;
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
/** The kernel's largest dump part is 32 KiB. */
const RECEIVE_BYTES = 65_536;
/** A dump during which the kernel's tables changed is taken again, a few times. */
const DUMP_TRIES = 5;

const one = Buffer.from([1, 0, 0, 0]);
const receiveBuffer = Buffer.alloc(RECEIVE_BYTES);

export class NetlinkSocket {
  readonly fd: number;
  #sequence = 0;

  constructor(protocol: number, netns: string | undefined) {
    this.fd = insideNetns(netns, () => libc().socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, protocol));
    if (this.fd < 0) throw lastError(netns ?? "netlink", "socket");
    // The kernel's own words for errors, without a copy of our request.
    libc().setsockopt(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, one, 4);
    libc().setsockopt(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, one, 4);
  }

  /** Sends a request that is acknowledged. Throws HostError, unless its code is one of `accept`. */
  ask(subject: string, request: NetlinkRequest, accept: readonly string[] = []): void {
    this.#exchange(subject, request, { accept, received: () => undefined });
  }

  /** Everything of a dump. `read` sees borrowed bytes. */
  dump<T>(subject: string, request: NetlinkRequest, read: (type: number, payload: Buffer) => T | undefined): T[] {
    for (let tries = 1; ; tries += 1) {
      const found: T[] = [];
      const isTorn = this.#exchange(subject, request, {
        accept: [],
        received(type, payload) {
          const value = read(type, payload);
          if (value !== undefined) found.push(value);
        },
      });
      if (!isTorn || tries === DUMP_TRIES) return found;
    }
  }

  /** Whether the answer was torn by a change. */
  #exchange(
    subject: string,
    request: NetlinkRequest,
    answer: { readonly accept: readonly string[]; readonly received: (type: number, payload: Buffer) => void },
  ): boolean {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const bytes = encodeRequest(request, this.#sequence);
    if (libc().send(this.fd, bytes, bytes.length, 0) < 0) throw lastError(subject, "netlink send");
    let isTorn = false;
    for (;;) {
      const length = libc().recv(this.fd, receiveBuffer, RECEIVE_BYTES, 0);
      if (length < 0) throw lastError(subject, "netlink recv");
      for (const reply of readReplies(receiveBuffer.subarray(0, length))) {
        if (reply.sequence !== this.#sequence) continue;
        if (reply.kind === "data") answer.received(reply.type, reply.payload);
        else {
          fail(subject, reply.errno, reply.kind === "result" ? reply.message : undefined, answer.accept);
          return reply.kind === "done" ? isTorn || reply.isTorn : isTorn;
        }
      }
    }
  }

  close(): void {
    libc().close(this.fd);
  }
}

function fail(subject: string, errno: number, message: string | undefined, accept: readonly string[]): void {
  if (errno === 0) return;
  const code = errnoName(errno);
  if (accept.includes(code)) return;
  const meaning = getSystemErrorMessage(-errno) ?? `error ${errno}`;
  throw new HostError(code, subject, message === undefined ? meaning : `${meaning}: ${message}`);
}
