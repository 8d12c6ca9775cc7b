/** The kernel's networking of a simulated world as data: namespaces with links, addresses, routes, neighbours, conntrack. */
import { contains, network, parseCidr, parseIp, formatCidr } from "#lib/ip.ts";
import { HostError } from "#host/host-error.ts";
import type { AddressFacts, ConntrackFlow, LinkFacts, NeighbourFacts, NflogPacket, RouteFacts } from "#host/netlink.ts";

export interface FakeLink {
  index: number;
  name: string;
  kind: string | undefined;
  mac: string;
  mtu: number;
  up: boolean;
  master: FakeLink | undefined;
  namespace: FakeNamespace;
  /** The other end of a veth. */
  peer: FakeLink | undefined;
}

const LOOPBACK_MTU = 65_536;
const MAIN_TABLE = 254;

export class FakeNamespace {
  readonly path: string;
  readonly links = new Map<string, FakeLink>();
  readonly addresses: { link: FakeLink; cidr: string }[] = [];
  readonly routes: { link: FakeLink; route: RouteFacts }[] = [];
  readonly neighbours: { link: FakeLink; neighbour: NeighbourFacts }[] = [];
  readonly flows: ConntrackFlow[] = [];
  readonly sysctls = new Map<string, string>();
  /** What rules log; a scenario calls it. */
  readonly logged = new Set<(packet: NflogPacket) => void>();
  #lastIndex = 0;

  constructor(path: string) {
    this.path = path;
    this.add({ name: "lo", kind: undefined, mac: "00:00:00:00:00:00", mtu: LOOPBACK_MTU }).up = true;
  }

  add(link: Pick<FakeLink, "name" | "kind" | "mac" | "mtu">): FakeLink {
    if (this.links.has(link.name)) throw new HostError("EEXIST", `link ${link.name}`, `exists already, as ${this.links.get(link.name)?.kind ?? "lo"}`);
    this.#lastIndex += 1;
    const made: FakeLink = { ...link, index: this.#lastIndex, up: false, master: undefined, namespace: this, peer: undefined };
    this.links.set(link.name, made);
    return made;
  }

  /** Moves in. */
  adopt(link: FakeLink): void {
    link.namespace.forget(link);
    this.#lastIndex += 1;
    link.index = this.#lastIndex;
    link.namespace = this;
    this.links.set(link.name, link);
  }

  /** With everything that hangs on it. */
  forget(link: FakeLink): void {
    this.links.delete(link.name);
    drop(this.addresses, (each) => each.link === link);
    drop(this.routes, (each) => each.link === link);
    drop(this.neighbours, (each) => each.link === link);
    for (const other of this.links.values()) if (other.master === link) other.master = undefined;
  }

  setUp(link: FakeLink, up: boolean): void {
    if (link.up === up) return;
    link.up = up;
    if (!up) drop(this.routes, (each) => each.link === link);
    else for (const each of this.addresses) if (each.link === link) this.#connect(link, each.cidr);
  }

  addAddress(link: FakeLink, cidr: string): void {
    if (this.addresses.some((each) => each.link === link && each.cidr === cidr)) return;
    this.addresses.push({ link, cidr });
    if (link.up) this.#connect(link, cidr);
  }

  removeAddress(link: FakeLink, cidr: string): void {
    drop(this.addresses, (each) => each.link === link && each.cidr === cidr);
    const source = cidr.split("/")[0];
    drop(this.routes, (each) => each.link === link && each.route.source === source);
  }

  /** The route that an address brings. */
  #connect(link: FakeLink, cidr: string): void {
    const [source = "", prefix = "32"] = cidr.split("/");
    const ip = parseIp(source);
    if (ip === undefined || Number(prefix) === (ip.family === 4 ? 32 : 128)) return;
    const destination = formatCidr(network(ip, Number(prefix)));
    this.putRoute(link, { destination, link: link.name, source, scope: "link", table: MAIN_TABLE });
  }

  putRoute(link: FakeLink, route: RouteFacts): void {
    drop(this.routes, (each) => isSameRoute(each.route, route));
    this.routes.push({ link, route });
  }

  /** Whether a gateway is on a network of ours. */
  reaches(gateway: string): boolean {
    const ip = parseIp(gateway);
    return ip !== undefined && this.routes.some(({ route }) => route.gateway === undefined && includes(route.destination, ip));
  }
}

function includes(destination: string, ip: NonNullable<ReturnType<typeof parseIp>>): boolean {
  const range = parseCidr(destination);
  return range !== undefined && contains(range, ip);
}

export function isSameRoute(a: RouteFacts, b: RouteFacts): boolean {
  return a.destination === b.destination && (a.table ?? MAIN_TABLE) === (b.table ?? MAIN_TABLE) && a.metric === b.metric;
}

export function drop<T>(list: T[], isGone: (each: T) => boolean): number {
  const kept = list.filter((each) => !isGone(each));
  const gone = list.length - kept.length;
  list.splice(0, list.length, ...kept);
  return gone;
}

export class FakeKernel {
  /** Namespaces of processes: "/proc/123/ns/net" -> path. A scenario fills it. */
  readonly processes = new Map<string, string>();
  readonly #namespaces = new Map<string, FakeNamespace>();
  #lastMac = 0;

  /** One that nobody made is a host's own: it is there from the start. */
  home(name: string): FakeNamespace {
    return this.find(name) ?? this.make(name);
  }

  find(path: string): FakeNamespace | undefined {
    return this.#namespaces.get(path);
  }

  make(path: string): FakeNamespace {
    const made = new FakeNamespace(path);
    this.#namespaces.set(path, made);
    return made;
  }

  remove(path: string): void {
    const namespace = this.#namespaces.get(path);
    this.#namespaces.delete(path);
    for (const link of namespace?.links.values() ?? []) link.peer?.namespace.forget(link.peer);
  }

  nextMac(): string {
    this.#lastMac += 1;
    return `02:00:00:00:${hex(this.#lastMac >> 8)}:${hex(this.#lastMac & 0xff)}`;
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

export function linkFacts({ index, name, kind, mac, mtu, up, master }: FakeLink): LinkFacts {
  return { index, name, kind, mac, mtu, up, master: master?.name };
}

export function addressFacts({ link, cidr }: { link: FakeLink; cidr: string }): AddressFacts {
  return { link: link.name, cidr };
}
