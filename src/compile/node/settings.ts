/** What a node's compilers know beside the World. */
export interface NodeSettings {
  /** Range of all pods of the cluster. */
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  /** Of LoadBalancer Services, if they get their addresses from us. */
  readonly loadBalancerCIDR?: string;
  /** Every node answers DNS at this address. */
  readonly dnsAddress: string;
  /** Where at this address who answers listens, when that is not port 53: packets get this port. */
  readonly namesPort?: number;
  readonly clusterDomain: string;
  readonly vni: number;
  /** The device on the underlay. */
  readonly device: string;
  readonly underlayMtu: number;
  /** How rules in a pod know what its own proxy sends: a mark needs a capability, which sidecars of Kubernetes have not. */
  readonly proxyKnownBy: "mark" | "uid";
}

export const DEFAULT_SETTINGS: NodeSettings = {
  podCIDR: "10.244.0.0/16",
  serviceCIDR: "10.96.0.0/16",
  loadBalancerCIDR: "192.168.99.240/28",
  dnsAddress: "10.96.0.10",
  clusterDomain: "cluster.local",
  vni: 42,
  device: "eth0",
  underlayMtu: 1500,
  proxyKnownBy: "mark",
};

/** A pod that this node has given an address to: known before the API says so. */
export interface LocalPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  /** File of its network namespace. */
  readonly netns?: string;
}

/**
 * Where weft-names listens on nodes of Kubernetes, at the DNS address only. No port that a user may use is special to the kernel,
 * so it is one that nothing known uses, below those of NodePorts (30000) and of connections that go out (32768).
 */
export const NAMES_PORT = 10253;

export const VXLAN_DEVICE = "weft-vxlan";
/** RFC 7348. */
export const VXLAN_PORT = 4789;
/** IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14. */
export const VXLAN_OVERHEAD_BYTES = 50;
/** The gateway of every pod, on the node's end of its link. */
export const POD_GATEWAY = "169.254.1.1";
/** NFLOG group of everything that Weft drops. */
export const DROP_LOG_GROUP = 100;

/** Where nothing but Services is. */
export function serviceRanges({ serviceCIDR, loadBalancerCIDR }: NodeSettings): readonly string[] {
  return [serviceCIDR, ...(loadBalancerCIDR === undefined ? [] : [loadBalancerCIDR])];
}
