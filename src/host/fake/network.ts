/**
 * The network of a simulated world: who listens where, which namespace has which address, how long bytes take.
 * A namespace is its file's path; a host's own is named after the host. Loopback addresses belong to every namespace,
 * all others to the one they were assigned to (by the fake netlink, or by a scenario).
 *
 * `redirect` is where a scenario models the kernel's rules: it may send a connection elsewhere, as nftables does.
 */
import { HostError } from "#host/host-error.ts";
import type { Connection, Datagram, SocketAddress, StreamAddress } from "#host/net.ts";
import type { Random } from "#host/random.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface Endpoint {
  readonly netns: string;
  readonly address: SocketAddress;
}

export interface Attempt {
  readonly from: Endpoint;
  readonly to: SocketAddress;
  readonly mark: number;
}

/** What the kernel's rules do with a connection: nothing (undefined), another destination, or no answer at all. */
export type Redirect = (attempt: Attempt) => { readonly netns?: string; readonly to: SocketAddress } | "drop" | undefined;

export interface FakeListener {
  readonly netns: string;
  readonly wantsOriginalDestination: boolean;
  accept(connection: Connection): void;
}

/** A socket of UDP. */
export interface FakeReceiver {
  readonly netns: string;
  receive(datagram: Datagram): void;
}

export class FakeNetwork {
  readonly world: VirtualTime;
  redirect: Redirect | undefined;
  readonly #random: Random;
  readonly #owners = new Map<string, Set<string>>();
  readonly #listeners = new Map<string, FakeListener>();
  readonly #receivers = new Map<string, FakeReceiver>();
  #nextPort = 32_768;

  constructor(world: VirtualTime) {
    this.world = world;
    this.#random = world.random("network");
  }

  /** Several namespaces may have one address (each node answers the cluster's DNS address itself). */
  assign(ip: string, netns: string): void {
    const owners = this.#owners.get(ip) ?? new Set();
    owners.add(netns);
    this.#owners.set(ip, owners);
  }

  unassign(ip: string, netns: string): void {
    const owners = this.#owners.get(ip);
    owners?.delete(netns);
    if (owners?.size === 0) this.#owners.delete(ip);
  }

  /** Seen from a namespace: its own addresses come first. */
  ownerOf(ip: string, from: string): string | undefined {
    if (isLoopback(ip)) return from;
    const owners = this.#owners.get(ip);
    return owners?.has(from) === true ? from : owners?.values().next().value;
  }

  addressOf(netns: string): string {
    for (const [ip, owners] of this.#owners) if (owners.has(netns)) return ip;
    return "127.0.0.1";
  }

  ephemeralPort(): number {
    this.#nextPort = this.#nextPort === 60_999 ? 32_768 : this.#nextPort + 1;
    return this.#nextPort;
  }

  /** Within a namespace 20 µs, between two 200 µs, and up to as much again. */
  delayMs(from: string, to: string): number {
    return (from === to ? 0.02 : 0.2) * (1 + this.#random.next());
  }

  listen(address: StreamAddress, listener: FakeListener): { readonly address: StreamAddress; readonly close: () => void } {
    const bound = this.#bound(address);
    const key = listenKey(listener.netns, bound);
    if (this.#listeners.has(key)) throw new HostError("EADDRINUSE", subjectOf(bound), "address already in use");
    this.#listeners.set(key, listener);
    return { address: bound, close: () => void this.#listeners.delete(key) };
  }

  #bound(address: StreamAddress): StreamAddress {
    return "path" in address || address.port !== 0 ? address : { ip: address.ip, port: this.ephemeralPort() };
  }

  /** Who answers at an address, after the rules; "drop": nobody ever does. */
  route(attempt: Attempt): { readonly listener: FakeListener | undefined; readonly netns: string; readonly to: SocketAddress } | "drop" {
    const changed = this.redirect?.(attempt);
    if (changed === "drop") return "drop";
    const to = changed?.to ?? attempt.to;
    const netns = changed?.netns ?? this.ownerOf(to.ip, attempt.from.netns);
    if (netns === undefined) {
      const listener = this.#listenerAt(attempt.from.netns, to);
      return listener === undefined ? "drop" : { listener, netns: attempt.from.netns, to };
    }
    return { listener: this.#listenerAt(netns, to), netns, to };
  }

  /** Files are one for all namespaces; abstract names belong to each. */
  findPath(netns: string, path: string): FakeListener | undefined {
    return this.#listeners.get(listenKey(netns, { path }));
  }

  #listenerAt(netns: string, to: SocketAddress): FakeListener | undefined {
    for (const ip of [to.ip, "0.0.0.0", "::"]) {
      const listener = this.#listeners.get(listenKey(netns, { ip, port: to.port }));
      if (listener !== undefined) return listener;
    }
    return undefined;
  }

  bind(address: SocketAddress, receiver: FakeReceiver): { readonly address: SocketAddress; readonly close: () => void } {
    const bound = address.port === 0 ? { ip: address.ip, port: this.ephemeralPort() } : address;
    const key = listenKey(receiver.netns, bound);
    if (this.#receivers.has(key)) throw new HostError("EADDRINUSE", subjectOf(bound), "address already in use");
    this.#receivers.set(key, receiver);
    return { address: bound, close: () => void this.#receivers.delete(key) };
  }

  /** As UDP: what nobody waits for is lost. */
  send(from: Endpoint, to: SocketAddress, bytes: Uint8Array): void {
    const netns = this.ownerOf(to.ip, from.netns) ?? from.netns;
    const copy = bytes.slice();
    this.world.plan(this.delayMs(from.netns, netns), () => {
      for (const ip of [to.ip, "0.0.0.0", "::"]) {
        const receiver = this.#receivers.get(listenKey(netns, { ip, port: to.port }));
        if (receiver !== undefined) return receiver.receive({ bytes: copy, from: from.address });
      }
    });
  }
}

export function isLoopback(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1";
}

function listenKey(netns: string, address: StreamAddress): string {
  if ("path" in address) return address.path.startsWith("@") ? `${netns} ${address.path}` : address.path;
  return `${netns} ${address.ip} ${address.port}`;
}

export function subjectOf(address: StreamAddress): string {
  return "path" in address ? address.path : `${address.ip}:${address.port}`;
}
