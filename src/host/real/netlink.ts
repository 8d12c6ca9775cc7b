/** Kernel networking by our own netlink messages (wire/netlink); each session's sockets live in its namespace. */
import { deleteAddress, getAddresses, newAddress, readAddress } from "#wire/netlink/address.ts";
import { deleteConntrack, getConntrack, readConntrack } from "#wire/netlink/conntrack.ts";
import type { ConntrackEntry } from "#wire/netlink/conntrack.ts";
import { changeLink, deleteLink, getLinks, newLink, readLink } from "#wire/netlink/link.ts";
import type { LinkKind, LinkMessage } from "#wire/netlink/link.ts";
import { deleteNeighbour, getNeighbours, newNeighbour, readNeighbour } from "#wire/netlink/neighbour.ts";
import type { NeighbourMessage } from "#wire/netlink/neighbour.ts";
import { deleteRoute, getRoutes, newRoute, readRoute } from "#wire/netlink/route.ts";
import type { RouteMessage } from "#wire/netlink/route.ts";
import { HostError } from "#host/host-error.ts";
import type {
  AddressFacts,
  ConntrackFlow,
  ConntrackMatch,
  LinkChange,
  LinkFacts,
  NeighbourFacts,
  Netlink,
  NetlinkSession,
  NewLink,
  NflogPacket,
  RouteFacts,
} from "#host/netlink.ts";
import { lastError, libc } from "./libc.ts";
import { captureFrames, receiveNflog } from "./netlink/packets.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket } from "./netlink/socket.ts";

const O_RDONLY_CLOEXEC = 0o2000000;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

export function realNetlink(): Netlink {
  return { open: (netns) => new Session(netns) };
}

class Session implements NetlinkSession {
  readonly #netns: string | undefined;
  readonly #route: NetlinkSocket;
  #netfilter: NetlinkSocket | undefined;
  readonly #receivers = new Set<{ close(): void }>();

  constructor(netns: string | undefined) {
    this.#netns = netns;
    this.#route = new NetlinkSocket(NETLINK_ROUTE, netns);
  }

  async links(): Promise<LinkFacts[]> {
    const links = this.#links();
    const names = new Map(links.map(({ index, name }) => [index, name]));
    return links.map(({ masterIndex, ...link }) => ({ ...link, master: masterIndex === undefined ? undefined : names.get(masterIndex) }));
  }

  #links(): LinkMessage[] {
    return this.#route.dump("links", getLinks(), readLink);
  }

  #find(name: string): LinkMessage | undefined {
    return this.#links().find((link) => link.name === name);
  }

  #index(name: string, wanted: string): number {
    const found = this.#find(name);
    if (found === undefined) throw new HostError("ENODEV", wanted, `there is no link ${name}${this.#netns === undefined ? "" : ` in ${this.#netns}`}`);
    return found.index;
  }

  #names(): Map<number, string> {
    return new Map(this.#links().map(({ index, name }) => [index, name]));
  }

  async addresses(): Promise<AddressFacts[]> {
    const names = this.#names();
    const found = this.#route.dump("addresses", getAddresses(), readAddress);
    return found.map(({ linkIndex, ip, prefix }) => ({ link: names.get(linkIndex) ?? "", cidr: `${ip}/${prefix}` }));
  }

  async routes(): Promise<RouteFacts[]> {
    const names = this.#names();
    const messages = (["ip", "ip6"] as const).flatMap((family) => this.#route.dump("routes", getRoutes(family), readRoute));
    return messages.map((message) => routeFacts(message, names));
  }

  async neighbours(): Promise<NeighbourFacts[]> {
    const names = this.#names();
    const messages = (["ip", "bridge"] as const).flatMap((family) => this.#route.dump("neighbours", getNeighbours(family), readNeighbour));
    // Of forwarding entries only those with a remote end are anybody's decision; the kernel makes the others itself.
    return messages.filter((message) => message.family === "ip" || message.ip !== undefined).map((message) => neighbourFacts(message, names));
  }

  async addLink(link: NewLink): Promise<void> {
    const subject = `link ${link.name}`;
    const opened: number[] = [];
    try {
      this.#route.ask(subject, newLink(link, this.#kindOf(link, subject, opened)));
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== "EEXIST") throw error;
      const existing = this.#find(link.name);
      if (existing?.kind !== link.kind) throw new HostError("EEXIST", subject, `exists already, as ${existing?.kind ?? "another kind"}, not ${link.kind}`);
    } finally {
      for (const fd of opened) libc().close(fd);
    }
  }

  #kindOf(link: NewLink, subject: string, opened: number[]): LinkKind {
    if (link.kind === "bridge") return { kind: "bridge" };
    if (link.kind === "vxlan") return { ...link, deviceIndex: this.#index(link.device, subject) };
    return { kind: "veth", peer: { ...link.peer, netnsFd: link.peer.netns === undefined ? undefined : openNetns(link.peer.netns, opened) } };
  }

  async setLink(name: string, change: LinkChange): Promise<void> {
    const subject = `link ${name}`;
    const index = this.#index(name, subject);
    const masterIndex = change.master === undefined ? undefined : change.master === null ? 0 : this.#index(change.master, subject);
    const opened: number[] = [];
    try {
      const netnsFd = change.netns === undefined ? undefined : openNetns(change.netns, opened);
      this.#route.ask(subject, changeLink({ index, up: change.up, mtu: change.mtu, mac: change.mac, masterIndex, netnsFd }));
    } finally {
      for (const fd of opened) libc().close(fd);
    }
  }

  async deleteLink(name: string): Promise<void> {
    const found = this.#find(name);
    if (found !== undefined) this.#route.ask(`link ${name}`, deleteLink(found.index), ["ENODEV"]);
  }

  async addAddress(link: string, cidr: string): Promise<void> {
    const subject = `address ${cidr} of ${link}`;
    this.#route.ask(subject, newAddress(this.#address(link, cidr, subject)), ["EEXIST"]);
  }

  async deleteAddress(link: string, cidr: string): Promise<void> {
    const subject = `address ${cidr} of ${link}`;
    if (this.#find(link) === undefined) return;
    this.#route.ask(subject, deleteAddress(this.#address(link, cidr, subject)), ["EADDRNOTAVAIL"]);
  }

  #address(link: string, cidr: string, subject: string): { linkIndex: number; ip: string; prefix: number } {
    const [ip = "", prefix] = cidr.split("/");
    return { linkIndex: this.#index(link, subject), ip, prefix: prefix === undefined ? (ip.includes(":") ? 128 : 32) : Number(prefix) };
  }

  async addRoute(route: RouteFacts): Promise<void> {
    const subject = `route ${route.destination}`;
    this.#route.ask(subject, newRoute(this.#routeMessage(route, subject)));
  }

  async deleteRoute(route: RouteFacts): Promise<void> {
    const subject = `route ${route.destination}`;
    if (route.link !== undefined && this.#find(route.link) === undefined) return;
    this.#route.ask(subject, deleteRoute(this.#routeMessage(route, subject)), ["ESRCH"]);
  }

  #routeMessage(route: RouteFacts, subject: string): RouteMessage {
    return {
      destination: route.destination,
      gateway: route.gateway,
      linkIndex: route.link === undefined ? undefined : this.#index(route.link, subject),
      source: route.source,
      scope: route.scope,
      onlink: route.onlink ?? false,
      table: route.table,
      metric: route.metric,
    };
  }

  async addNeighbour(neighbour: NeighbourFacts): Promise<void> {
    const subject = subjectOf(neighbour);
    this.#route.ask(subject, newNeighbour(this.#neighbourMessage(neighbour, subject)));
  }

  async deleteNeighbour(neighbour: NeighbourFacts): Promise<void> {
    const subject = subjectOf(neighbour);
    if (this.#find(neighbour.link) === undefined) return;
    this.#route.ask(subject, deleteNeighbour(this.#neighbourMessage(neighbour, subject)), ["ENOENT"]);
  }

  #neighbourMessage(neighbour: NeighbourFacts, subject: string): NeighbourMessage {
    const ip = neighbour.family === "bridge" ? neighbour.destination : neighbour.ip;
    return { linkIndex: this.#index(neighbour.link, subject), family: neighbour.family, ip, mac: neighbour.mac, permanent: neighbour.permanent };
  }

  async connections(): Promise<ConntrackFlow[]> {
    return this.#conntrack().flatMap(({ protocol, original, reply }) => {
      const name = protocol === PROTOCOLS.tcp ? "tcp" : protocol === PROTOCOLS.udp ? "udp" : undefined;
      if (name === undefined) return [];
      return [{ protocol: name, originalSource: original.source, originalDestination: original.destination, replySource: reply.source }];
    });
  }

  async deleteConntrack(match: ConntrackMatch): Promise<number> {
    const entries = this.#conntrack().filter((entry) => matches(entry, match));
    for (const entry of entries) this.#netfilterSocket().ask("conntrack", deleteConntrack(entry), ["ENOENT"]);
    return entries.length;
  }

  /** Family 0: both. */
  #conntrack(): ConntrackEntry[] {
    return this.#netfilterSocket().dump("conntrack", getConntrack(0), readConntrack);
  }

  #netfilterSocket(): NetlinkSocket {
    return (this.#netfilter ??= new NetlinkSocket(NETLINK_NETFILTER, this.#netns));
  }

  nflog(group: number, received: (packet: NflogPacket) => void): { close(): void } {
    return this.#receiving(receiveNflog(this.#netns, group, received));
  }

  capture(link: string, received: (frame: Uint8Array, outgoing: boolean) => void): { close(): void } {
    return this.#receiving(captureFrames(this.#netns, link, received));
  }

  #receiving(receiver: { close(): void }): { close(): void } {
    this.#receivers.add(receiver);
    return receiver;
  }

  close(): void {
    for (const receiver of this.#receivers) receiver.close();
    this.#netfilter?.close();
    this.#route.close();
  }
}

function openNetns(path: string, opened: number[]): number {
  const fd = libc().open(path, O_RDONLY_CLOEXEC);
  if (fd < 0) throw lastError(path, "open network namespace");
  opened.push(fd);
  return fd;
}

function subjectOf(neighbour: NeighbourFacts): string {
  return `neighbour ${neighbour.ip ?? neighbour.mac} of ${neighbour.link}`;
}

function routeFacts(message: RouteMessage, names: ReadonlyMap<number, string>): RouteFacts {
  const link = message.linkIndex === undefined ? undefined : names.get(message.linkIndex);
  return {
    destination: message.destination,
    ...(message.gateway === undefined ? {} : { gateway: message.gateway }),
    ...(link === undefined ? {} : { link }),
    ...(message.source === undefined ? {} : { source: message.source }),
    ...(message.scope === undefined ? {} : { scope: message.scope }),
    ...(message.onlink ? { onlink: true } : {}),
    ...(message.table === undefined ? {} : { table: message.table }),
    ...(message.metric === undefined ? {} : { metric: message.metric }),
  };
}

function neighbourFacts(message: NeighbourMessage, names: ReadonlyMap<number, string>): NeighbourFacts {
  const { family, mac, permanent, ip } = message;
  const address = ip === undefined ? {} : family === "bridge" ? { destination: ip } : { ip };
  return { link: names.get(message.linkIndex) ?? "", family, mac, permanent, ...address };
}

function matches(entry: ConntrackEntry, match: ConntrackMatch): boolean {
  const isAt = (end: { ip: string; port: number }, wanted: { readonly ip: string; readonly port?: number } | undefined): boolean =>
    wanted === undefined || (end.ip === wanted.ip && (wanted.port === undefined || end.port === wanted.port));
  return (
    (match.protocol === undefined || entry.protocol === PROTOCOLS[match.protocol]) &&
    isAt(entry.original.destination, match.originalDestination) &&
    isAt(entry.original.source, match.originalSource) &&
    isAt(entry.reply.source, match.replySource)
  );
}
