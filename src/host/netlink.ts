/** Kernel networking by netlink: rtnetlink objects as values, conntrack deletion, nflog and packet capture. */
export interface Netlink {
  /** A session whose sockets live in the namespace (`path` of its file; undefined: our own). */
  open(netns?: string): NetlinkSession;
}

export interface NetlinkSession {
  links(): Promise<LinkFacts[]>;
  addresses(): Promise<AddressFacts[]>;
  routes(): Promise<RouteFacts[]>;
  neighbours(): Promise<NeighbourFacts[]>;
  /** Each is idempotent: "add" of what exists with the same facts succeeds, "delete" of what is absent succeeds. */
  addLink(link: NewLink): Promise<void>;
  setLink(name: string, change: LinkChange): Promise<void>;
  deleteLink(name: string): Promise<void>;
  addAddress(link: string, cidr: string): Promise<void>;
  deleteAddress(link: string, cidr: string): Promise<void>;
  addRoute(route: RouteFacts): Promise<void>;
  deleteRoute(route: RouteFacts): Promise<void>;
  addNeighbour(neighbour: NeighbourFacts): Promise<void>;
  deleteNeighbour(neighbour: NeighbourFacts): Promise<void>;
  /** What conntrack knows of TCP and UDP. */
  connections(): Promise<ConntrackFlow[]>;
  /** Deletes conntrack entries whose original or reply tuple matches; returns how many. */
  deleteConntrack(match: ConntrackMatch): Promise<number>;
  /** Packets of an NFLOG group. */
  nflog(group: number, received: (packet: NflogPacket) => void): { close(): void };
  /** Frames of a link (AF_PACKET), both directions. Borrowed bytes. */
  capture(link: string, received: (frame: Uint8Array, outgoing: boolean) => void): { close(): void };
  close(): void;
}

export interface LinkFacts {
  readonly index: number;
  readonly name: string;
  readonly kind: string | undefined;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly master: string | undefined;
}

export type NewLink =
  | {
      readonly kind: "veth";
      readonly name: string;
      readonly mtu?: number;
      readonly mac?: string;
      /** `netns` is a namespace file. */
      readonly peer: { readonly name: string; readonly netns?: string; readonly mac?: string; readonly mtu?: number };
    }
  | { readonly kind: "bridge"; readonly name: string; readonly mtu?: number; readonly mac?: string }
  | {
      readonly kind: "vxlan";
      readonly name: string;
      readonly vni: number;
      readonly port: number;
      readonly local: string;
      readonly device: string;
      readonly mtu?: number;
      readonly mac?: string;
      readonly learning: boolean;
    };

export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  /** null: detach. */
  readonly master?: string | null;
  readonly netns?: string;
}

export interface AddressFacts {
  readonly link: string;
  /** "10.244.0.1/32". */
  readonly cidr: string;
}

export interface RouteFacts {
  /** "0.0.0.0/0" is the default. */
  readonly destination: string;
  readonly gateway?: string;
  readonly link?: string;
  readonly source?: string;
  readonly scope?: "link" | "global" | "host";
  readonly onlink?: boolean;
  readonly table?: number;
  readonly metric?: number;
}

export interface NeighbourFacts {
  readonly link: string;
  /** Absent for a bridge FDB entry of VXLAN, where `destination` is the remote VTEP. */
  readonly ip?: string;
  readonly mac: string;
  readonly destination?: string;
  readonly family: "ip" | "bridge";
  readonly permanent: boolean;
}

export interface ConntrackFlow {
  readonly protocol: "tcp" | "udp";
  readonly originalSource: { readonly ip: string; readonly port: number };
  /** As whoever opened the connection wrote it, before any translation. */
  readonly originalDestination: { readonly ip: string; readonly port: number };
  /** Who answers. */
  readonly replySource: { readonly ip: string; readonly port: number };
}

export interface ConntrackMatch {
  readonly protocol?: "tcp" | "udp";
  readonly originalDestination?: { readonly ip: string; readonly port?: number };
  readonly originalSource?: { readonly ip: string; readonly port?: number };
  readonly replySource?: { readonly ip: string; readonly port?: number };
}

export interface NflogPacket {
  readonly group: number;
  /** The rule's `log prefix`. */
  readonly prefix: string;
  readonly inLink: number | undefined;
  readonly outLink: number | undefined;
  /** From the network header on. */
  readonly payload: Uint8Array;
}
