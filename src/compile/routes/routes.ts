/**
 * Pod network between nodes: a VXLAN device whose neighbours and forwarding entries are written from Node objects, so
 * that nothing is learned or flooded. The tunnel's MAC addresses are derived from underlay addresses: all nodes know
 * them. One route for each node's range, through its first address, which needs no ARP.
 */
import { hostLinkName, hostMac, podMac, tunnelMac } from "#compile/node/naming.ts";
import { POD_GATEWAY, VXLAN_DEVICE, VXLAN_OVERHEAD_BYTES, VXLAN_PORT, type LocalPod, type NodeSettings } from "#compile/node/settings.ts";
import { formatCidr, formatIp, nthAddress, parseCidr, parseIp } from "#lib/ip.ts";
import type { Node } from "#model/core.ts";
import type { NetworkPlan, NodePlan, PlannedNeighbour, PlannedRoute, PlanProblem, PodWiring } from "#model/plan/node-plan.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";

export type NodeRoutes = Pick<NodePlan, "vxlan" | "addresses" | "routes" | "neighbours" | "sysctls" | "problems">;

/** Where a node is, if its object says it whole. */
export interface NodePlace {
  readonly name: string;
  readonly address: string;
  /** First host address of its range: its own in the pod network. */
  readonly gateway: string;
  readonly podCIDR: string;
}

export function placeOf(node: Node): NodePlace | undefined {
  const address = node.status?.addresses?.find(({ type, address: each }) => type === "InternalIP" && parseIp(each)?.family === 4)?.address;
  const range = node.spec?.podCIDR === undefined ? undefined : parseCidr(node.spec.podCIDR);
  if (address === undefined || range === undefined || range.ip.family !== 4) return undefined;
  return { name: node.metadata.name, address, gateway: formatIp(nthAddress(range, 1) ?? range.ip), podCIDR: formatCidr(range) };
}

export function compileRoutes(world: WorldReader, name: string, settings: NodeSettings): NodeRoutes {
  const nodes = world.all("Node");
  const places = nodes.flatMap((node) => placeOf(node) ?? []);
  const own = places.find((place) => place.name === name);
  const problems = nodes
    .filter((node) => placeOf(node) === undefined)
    .map((node): PlanProblem => {
      const missing = node.spec?.podCIDR === undefined ? "spec.podCIDR" : "status.addresses";
      return {
        by: byNode(node.metadata.name, missing),
        message: `no IPv4 ${missing === "spec.podCIDR" ? "range for pods" : "InternalIP"}: pods of this node cannot be reached`,
      };
    });
  if (own === undefined) return { vxlan: undefined, addresses: [], routes: [], neighbours: [], sysctls: [], problems };
  const others = places.filter((place) => place.name !== name);
  return {
    vxlan: {
      name: VXLAN_DEVICE,
      vni: settings.vni,
      port: VXLAN_PORT,
      local: own.address,
      device: settings.device,
      mtu: podMtu(settings),
      mac: tunnelMac(own.address),
    },
    addresses: [
      { link: VXLAN_DEVICE, cidr: `${own.gateway}/32` },
      { link: "lo", cidr: `${settings.dnsAddress}/32` },
    ],
    routes: others.map((place): PlannedRoute => ({
      destination: place.podCIDR,
      link: VXLAN_DEVICE,
      gateway: place.gateway,
      onlink: true,
      source: own.gateway,
      by: byNode(place.name, "spec.podCIDR"),
    })),
    neighbours: others.flatMap((place): PlannedNeighbour[] => {
      const mac = tunnelMac(place.address);
      return [
        { link: VXLAN_DEVICE, mac, ip: place.gateway, by: byNode(place.name, "spec.podCIDR") },
        { link: VXLAN_DEVICE, mac, tunnel: place.address, by: byNode(place.name, "status.addresses") },
      ];
    }),
    sysctls: [
      // The one setting that is the whole node's: what is asked of a node's ports may arrive by any of its links.
      { key: "net.ipv4.ip_forward", value: "1" },
      // Answers may go by another link than the tunnel's. The kernel takes the larger of "all" and the link's own, and 2 (loose)
      // is larger than 1 (strict): so "all" can stay as its owner has it.
      { key: `net.ipv4.conf.${VXLAN_DEVICE}.rp_filter`, value: "2" },
    ],
    problems,
  };
}

export function podMtu(settings: NodeSettings): number {
  return settings.underlayMtu - VXLAN_OVERHEAD_BYTES;
}

function byNode(name: string, field: string): Provenance {
  return { kind: "Node", name, field };
}

/** The node's half of its pods' links: a route to each pod, and a neighbour that no ARP answer can change. */
export function podSide(wirings: readonly PodWiring[], gateway: string | undefined): Pick<NetworkPlan, "addresses" | "routes" | "neighbours" | "sysctls"> {
  const by = (pod: PodWiring): Provenance => ({ kind: "Pod", namespace: pod.namespace, name: pod.name, field: "status.podIP" });
  return {
    addresses: wirings.map((pod) => ({ link: pod.hostLink, cidr: `${POD_GATEWAY}/32` })),
    routes: wirings.map((pod) => ({ destination: `${pod.ip}/32`, link: pod.hostLink, ...(gateway === undefined ? {} : { source: gateway }), by: by(pod) })),
    neighbours: wirings.map((pod) => ({ link: pod.hostLink, mac: pod.podMac, ip: pod.ip, by: by(pod) })),
    sysctls: wirings.flatMap((pod) => [
      { key: `net.ipv4.conf.${pod.hostLink}.rp_filter`, value: "1" },
      { key: `net.ipv6.conf.${pod.hostLink}.disable_ipv6`, value: "1" },
    ]),
  };
}

/** A new namespace starts with the machine's own IPv4 settings: a machine that is a router must not make routers of its pods. */
const podSysctls = [
  { key: "net.ipv4.ip_forward", value: "0" },
  { key: "net.ipv4.conf.all.accept_source_route", value: "0" },
  { key: "net.ipv4.conf.all.route_localnet", value: "0" },
  { key: "net.ipv4.conf.eth0.route_localnet", value: "0" },
  { key: "net.ipv6.conf.eth0.disable_ipv6", value: "1" },
];

/** One pod's link, and what is inside its namespace but for the tables. */
export function wirePod(pod: LocalPod, settings: NodeSettings, tables: NetworkPlan["tables"]): PodWiring {
  const gatewayMac = hostMac(pod.uid);
  return {
    ...pod,
    hostLink: hostLinkName(pod.uid),
    hostMac: gatewayMac,
    podMac: podMac(pod.uid),
    mtu: podMtu(settings),
    inside: {
      addresses: [{ link: "eth0", cidr: `${pod.ip}/32` }],
      routes: [
        { destination: `${POD_GATEWAY}/32`, link: "eth0" },
        { destination: "0.0.0.0/0", link: "eth0", gateway: POD_GATEWAY },
      ],
      neighbours: [{ link: "eth0", mac: gatewayMac, ip: POD_GATEWAY }],
      sysctls: podSysctls,
      tables,
    },
  };
}
