/** Host.Netlink and Host.Netns over a FakeKernel. Addresses that are given to links become reachable on the fake network. */
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
import type { Netns } from "#host/netns.ts";
import { addressFacts, drop, isSameRoute, linkFacts } from "./kernel.ts";
import type { FakeKernel, FakeLink, FakeNamespace } from "./kernel.ts";
import type { FakeNetwork } from "./network.ts";

const ETHERNET_MTU = 1_500;
const MAIN_TABLE = 254;

export function fakeNetlink(kernel: FakeKernel, network: FakeNetwork, home: string): Netlink {
  return {
    open(netns) {
      const namespace = netns === undefined ? kernel.home(home) : kernel.find(netns);
      if (namespace === undefined) throw new HostError("ENOENT", netns ?? home, "open network namespace: no such file or directory");
      return new Session(kernel, network, namespace);
    },
  };
}

export function fakeNetns(kernel: FakeKernel, network: FakeNetwork, home: string): Netns {
  const namespaceWith = (path: string | undefined, key: string, failed: string): FakeNamespace => {
    const namespace = path === undefined ? kernel.home(home) : kernel.find(path);
    if (namespace === undefined) throw new HostError("ENOENT", path ?? home, "no such network namespace");
    if (!/^net[./]/.test(key) || key.includes("no_such")) throw new HostError("ENOENT", key, `${failed}: no such sysctl`);
    return namespace;
  };
  return {
    async create(path) {
      if (kernel.find(path) !== undefined) throw new HostError("EEXIST", path, "cannot make a network namespace: file already exists");
      kernel.make(path);
    },
    async remove(path) {
      for (const { cidr } of kernel.find(path)?.addresses ?? []) network.unassign(ipOf(cidr), path);
      kernel.remove(path);
    },
    exists: async (path) => kernel.find(path) !== undefined,
    identity: async (path) => kernel.find(kernel.processes.get(path) ?? path)?.path,
    async sysctl(path, key, value) {
      namespaceWith(path, key, `cannot write "${value}"`).sysctls.set(key, value);
    },
    // A machine that was set up in no way.
    readSysctl: async (path, key) => namespaceWith(path, key, "cannot be read").sysctls.get(key) ?? "0",
  };
}

function ipOf(cidr: string): string {
  return cidr.split("/")[0] ?? "";
}

class Session implements NetlinkSession {
  readonly #kernel: FakeKernel;
  readonly #network: FakeNetwork;
  readonly #here: FakeNamespace;

  constructor(kernel: FakeKernel, network: FakeNetwork, here: FakeNamespace) {
    this.#kernel = kernel;
    this.#network = network;
    this.#here = here;
  }

  #link(name: string, subject: string): FakeLink {
    const link = this.#here.links.get(name);
    if (link === undefined) throw new HostError("ENODEV", subject, `there is no link ${name} in ${this.#here.path}`);
    return link;
  }

  #namespace(path: string): FakeNamespace {
    const found = this.#kernel.find(path);
    if (found === undefined) throw new HostError("ENOENT", path, "open network namespace: no such file or directory");
    return found;
  }

  async links(): Promise<LinkFacts[]> {
    return [...this.#here.links.values()].map(linkFacts);
  }

  async addresses(): Promise<AddressFacts[]> {
    return this.#here.addresses.map(addressFacts);
  }

  async routes(): Promise<RouteFacts[]> {
    return this.#here.routes.map(({ route }) => route);
  }

  async neighbours(): Promise<NeighbourFacts[]> {
    return this.#here.neighbours.map(({ neighbour }) => neighbour);
  }

  async addLink(link: NewLink): Promise<void> {
    const existing = this.#here.links.get(link.name);
    if (existing !== undefined) {
      if (existing.kind === link.kind) return;
      throw new HostError("EEXIST", `link ${link.name}`, `exists already, as ${existing.kind ?? "another kind"}, not ${link.kind}`);
    }
    if (link.kind === "vxlan") this.#link(link.device, `link ${link.name}`);
    const made = this.#here.add(this.#described(link, link.kind));
    if (link.kind !== "veth") return;
    const there = link.peer.netns === undefined ? this.#here : this.#namespace(link.peer.netns);
    const peer = there.add(this.#described(link.peer, "veth"));
    made.peer = peer;
    peer.peer = made;
  }

  #described(link: { readonly name: string; readonly mac?: string; readonly mtu?: number }, kind: string): Pick<FakeLink, "name" | "kind" | "mac" | "mtu"> {
    return { name: link.name, kind, mac: link.mac ?? this.#kernel.nextMac(), mtu: link.mtu ?? ETHERNET_MTU };
  }

  async setLink(name: string, change: LinkChange): Promise<void> {
    const subject = `link ${name}`;
    const link = this.#link(name, subject);
    if (change.mtu !== undefined) link.mtu = change.mtu;
    if (change.mac !== undefined) link.mac = change.mac;
    if (change.master !== undefined) link.master = change.master === null ? undefined : this.#link(change.master, subject);
    if (change.up !== undefined) this.#here.setUp(link, change.up);
    if (change.netns === undefined) return;
    this.#unassign(link);
    this.#namespace(change.netns).adopt(link);
  }

  async deleteLink(name: string): Promise<void> {
    const link = this.#here.links.get(name);
    if (link === undefined) return;
    for (const each of [link, link.peer]) {
      if (each === undefined) continue;
      this.#unassign(each);
      each.namespace.forget(each);
    }
  }

  #unassign(link: FakeLink): void {
    for (const each of link.namespace.addresses) if (each.link === link) this.#network.unassign(ipOf(each.cidr), link.namespace.path);
  }

  async addAddress(link: string, cidr: string): Promise<void> {
    const full = cidr.includes("/") ? cidr : `${cidr}/${cidr.includes(":") ? 128 : 32}`;
    this.#here.addAddress(this.#link(link, `address ${cidr} of ${link}`), full);
    this.#network.assign(ipOf(cidr), this.#here.path);
  }

  async deleteAddress(name: string, cidr: string): Promise<void> {
    const link = this.#here.links.get(name);
    if (link === undefined) return;
    this.#here.removeAddress(link, cidr);
    this.#network.unassign(ipOf(cidr), this.#here.path);
  }

  async addRoute(route: RouteFacts): Promise<void> {
    const subject = `route ${route.destination}`;
    const link = this.#link(route.link ?? "", subject);
    if (!link.up) throw new HostError("ENETDOWN", subject, `network is down: link ${link.name} is not up`);
    if (route.gateway !== undefined && route.onlink !== true && !this.#here.reaches(route.gateway)) {
      throw new HostError("ENETUNREACH", subject, "network is unreachable: Nexthop has invalid gateway");
    }
    this.#here.putRoute(link, { scope: route.gateway === undefined ? "link" : "global", table: MAIN_TABLE, ...route });
  }

  async deleteRoute(route: RouteFacts): Promise<void> {
    drop(this.#here.routes, (each) => isSameRoute(each.route, route));
  }

  async addNeighbour(neighbour: NeighbourFacts): Promise<void> {
    const link = this.#link(neighbour.link, `neighbour ${neighbour.ip ?? neighbour.mac} of ${neighbour.link}`);
    await this.deleteNeighbour(neighbour);
    this.#here.neighbours.push({ link, neighbour });
  }

  async deleteNeighbour(neighbour: NeighbourFacts): Promise<void> {
    const key = (each: NeighbourFacts): string => `${each.link} ${each.family} ${each.family === "bridge" ? each.mac : (each.ip ?? "")}`;
    drop(this.#here.neighbours, (each) => key(each.neighbour) === key(neighbour));
  }

  async connections(): Promise<ConntrackFlow[]> {
    return [...this.#here.flows];
  }

  async deleteConntrack(match: ConntrackMatch): Promise<number> {
    return drop(this.#here.flows, (flow) => matches(flow, match));
  }

  nflog(group: number, received: (packet: NflogPacket) => void): { close(): void } {
    const ofGroup = (packet: NflogPacket): void => {
      if (packet.group === group) received(packet);
    };
    this.#here.logged.add(ofGroup);
    return { close: () => void this.#here.logged.delete(ofGroup) };
  }

  /** Connections of the fake network have no frames: nothing is ever seen. */
  capture(link: string): { close(): void } {
    this.#link(link, `capture ${link}`);
    return { close: () => undefined };
  }

  close(): void {
    // Holds nothing.
  }
}

function matches(flow: ConntrackFlow, match: ConntrackMatch): boolean {
  const isAt = (end: { ip: string; port: number }, wanted: { readonly ip: string; readonly port?: number } | undefined): boolean =>
    wanted === undefined || (end.ip === wanted.ip && (wanted.port === undefined || end.port === wanted.port));
  return (
    (match.protocol === undefined || flow.protocol === match.protocol) &&
    isAt(flow.originalDestination, match.originalDestination) &&
    isAt(flow.originalSource, match.originalSource) &&
    isAt(flow.replySource, match.replySource)
  );
}
