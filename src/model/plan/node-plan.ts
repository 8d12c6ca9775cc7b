/**
 * What one node must have: kernel objects, names and facts to answer questions with, as plain values. Compilers make it
 * (compile/node), the agent applies it, `decide/packet` walks packets through it. Addresses are text in canonical form,
 * of either family. Whatever came from an object names it (`by`); nftables rules and elements do so in their comments.
 */
import type { Table } from "#lib/nft-ruleset.ts";
import type { Provenance } from "#model/provenance.ts";

export interface NodePlan extends NetworkPlan {
  readonly node: string;
  readonly vxlan: PlannedVxlan | undefined;
  readonly pods: readonly PodWiring[];
  readonly zone: DnsZone;
  /** Addresses of LoadBalancer Services that this node answers for. */
  readonly loadBalancerAddresses: readonly { readonly ip: string; readonly by: Provenance }[];
  /** Where each service port goes: what the agent compares to find connections whose endpoint went. */
  readonly balanced: readonly BalancedPort[];
  /** What tells load balancers whether this node serves a Service itself. */
  readonly healthChecks: readonly ServiceHealthCheck[];
  /** NFLOG prefix -> what a drop with that prefix means. */
  readonly drops: Readonly<Record<string, DropReason>>;
  /** Comments that are too long for the kernel: "note-1f0c..." -> the text. */
  readonly notes: Readonly<Record<string, string>>;
  /** What objects ask for and this node does not do. */
  readonly problems: readonly PlanProblem[];
}

/** What a network namespace holds: a node's, or a pod's. */
export interface NetworkPlan {
  readonly addresses: readonly PlannedAddress[];
  readonly routes: readonly PlannedRoute[];
  readonly neighbours: readonly PlannedNeighbour[];
  /** In order. */
  readonly sysctls: readonly PlannedSysctl[];
  readonly tables: readonly Table[];
}

export interface PlannedVxlan {
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  /** Underlay address of this node. */
  readonly local: string;
  readonly device: string;
  readonly mtu: number;
  readonly mac: string;
}

export interface PlannedAddress {
  readonly link: string;
  /** "10.244.0.1/32". */
  readonly cidr: string;
}

export interface PlannedRoute {
  /** "0.0.0.0/0" is the default. */
  readonly destination: string;
  readonly link: string;
  /** Absent: the destination is on the link. */
  readonly gateway?: string;
  /** The gateway is on the link although no address of the link says so. */
  readonly onlink?: boolean;
  /** Preferred source address. */
  readonly source?: string;
  readonly by?: Provenance;
}

export interface PlannedNeighbour {
  readonly link: string;
  readonly mac: string;
  /** Who has that MAC; absent in a forwarding entry of a VXLAN device. */
  readonly ip?: string;
  /** Forwarding entry: frames to that MAC go to this underlay address. */
  readonly tunnel?: string;
  readonly by?: Provenance;
}

export interface PlannedSysctl {
  /** "net.ipv4.ip_forward". */
  readonly key: string;
  readonly value: string;
}

/** A pod of this node: both ends of its link. */
export interface PodWiring {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  /** File of its network namespace; absent when only the API told of the pod. */
  readonly netns?: string;
  /** The node's end. */
  readonly hostLink: string;
  readonly hostMac: string;
  /** The pod's end is always "eth0". */
  readonly podMac: string;
  readonly mtu: number;
  /** In the pod's namespace. Its tables are the interception by its proxy, if it has one. */
  readonly inside: NetworkPlan;
}

/** A port of a Service on one address. */
export interface BalancedPort {
  readonly address: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  /** New connections go here: "10.244.0.5:8080", in the order of their numbers. */
  readonly endpoints: readonly string[];
  /** Connections stay here while they last (terminating or not ready), but no new ones come. */
  readonly draining: readonly string[];
  readonly by: Provenance;
}

/** The agent answers HTTP at this port of the node, 200 while there is an endpoint here, else 503. */
export interface ServiceHealthCheck {
  readonly port: number;
  readonly namespace: string;
  readonly name: string;
  readonly localEndpoints: number;
  readonly by: Provenance;
}

export interface DropReason {
  readonly direction: "ingress" | "egress";
  /** Absent: the pod is found by the link that the packet came in by. */
  readonly pod?: { readonly namespace: string; readonly name: string };
  /** Policies that isolate the pod in that direction. */
  readonly policies: readonly Provenance[];
  readonly text: string;
}

export interface PlanProblem {
  readonly by: Provenance;
  readonly message: string;
}

export interface DnsZone {
  /** "cluster.local". */
  readonly domain: string;
  /** Zones of addresses that this one speaks for: "96.10.in-addr.arpa". */
  readonly reverse: readonly string[];
  readonly namespaces: readonly string[];
  /** Full names without the last dot, in lower case. */
  readonly names: Readonly<Record<string, readonly DnsRecord[]>>;
}

export type DnsRecord = { readonly by?: Provenance } & (
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "CNAME" | "PTR"; readonly target: string }
  | { readonly type: "SRV"; readonly weight: number; readonly port: number; readonly target: string }
  | { readonly type: "TXT"; readonly text: string }
);
