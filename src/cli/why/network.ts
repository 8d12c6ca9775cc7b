/** The network's part of an answer: names as a resolver finds them, and packets walked through what agents apply. */
import { compileNode } from "#compile/node/node.ts";
import { SERVICES_TABLE } from "#compile/services/services.ts";
import { podResolver } from "#compile/dns/pod-resolver.ts";
import type { NodeSettings } from "#compile/node/settings.ts";
import { clusterDomain } from "#compile/mesh/settings.ts";
import { listenPort } from "#compile/mesh/gateway.ts";
import { workload } from "#compile/mesh/workload.ts";
import { resolveName, type Resolution, type Resolver } from "#decide/name/resolve.ts";
import { walkPacket, type PacketOutcome, type PacketQuestion } from "#decide/packet/walk.ts";
import { hop, type Hop, type Known, type Verdict } from "#decide/why/answer.ts";
import type { Pod } from "#model/core.ts";
import { cidr, formatCidr, parseIp } from "#lib/ip.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import type { WorldReader } from "#model/world.ts";
import { PlaceError, type Destination, type Source } from "./places.ts";

export interface Resolved {
  /** Empty: there is nowhere to go, and the last hop says why. A client tries one of them, so each has its share. */
  readonly addresses: readonly { readonly address: string; readonly hop: Hop }[];
  readonly hops: readonly Hop[];
  readonly verdict: Verdict;
}

/** What a proxy's own sockets are known by: SO_MARK in the embedded cluster, the uid on Kubernetes; the same number. */
const PROXY = { mark: 0x539, uid: 0x539 };
const DNS_PORT = 53;

/** As agents are told. */
export interface WhySettings extends NodeSettings {
  /** Profile mesh: pods' network, Services and names are others' work. */
  readonly isNetworkForeign?: boolean;
  /** The client of "outside"; the machine beside the nodes of `weft up` when nothing is said. */
  readonly outsideAddress?: string;
}

export interface Connection {
  readonly destination: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  /** A proxy's own sockets are not given to the proxy again. */
  readonly byProxy: boolean;
}

export class Network {
  readonly #world: WorldReader;
  readonly #settings: WhySettings;
  readonly #plans: readonly NodePlan[];

  constructor(world: WorldReader, settings: WhySettings) {
    this.#world = world;
    this.#settings = settings;
    this.#plans = world.all("Node").map(({ metadata }) => {
      const plan = compileNode(world, { node: metadata.name, settings });
      // Whoever serves Services there does what Kubernetes asks for, as this table does; the others are of our own network.
      return settings.isNetworkForeign === true ? { ...plan, tables: plan.tables.filter(({ name }) => name === SERVICES_TABLE) } : plan;
    });
    if (this.#plans.length === 0) throw new PlaceError("the cluster has no node");
  }

  resolve(from: Source, { host, address, naming }: Destination): Resolved {
    if (address !== undefined) {
      const { text = `${address} is an address`, known = "executed", by } = naming ?? {};
      const literal = hop("name", text, known, { by });
      return { addresses: [{ address, hop: literal }], hops: [], verdict: "allowed" };
    }
    if (from.kind === "outside") return unresolved(`${host}: a machine outside does not ask the cluster's DNS; name an address`, "unknown");
    const plan = this.#planOf(from);
    const resolution = resolveName(plan.zone, resolverOf(from, this.#settings.dnsAddress), host);
    if (resolution.kind === "hosts") {
      const by = from.kind === "pod" && resolution.field !== undefined ? podField(from.pod, resolution.field) : undefined;
      const found = hop("name", `${host} -> ${resolution.address}, by /etc/hosts of the pod`, "executed", { by });
      return { addresses: [{ address: resolution.address, hop: found }], hops: [], verdict: "allowed" };
    }
    const query = this.#query(from);
    if (query !== undefined) return { addresses: [], hops: query, verdict: "denied" };
    // Another's name server is asked there, and answers as Kubernetes says.
    return resolvedBy(resolution, host, this.#settings.isNetworkForeign === true ? "modelled" : "executed");
  }

  /** The DNS query is a packet as well; undefined: it gets through. */
  #query(from: Source): readonly Hop[] | undefined {
    if (this.#settings.isNetworkForeign === true) return undefined;
    const connection = { destination: this.#settings.dnsAddress, port: DNS_PORT, protocol: "udp", byProxy: false } as const;
    const [way] = this.walk(from, connection);
    const refusal = way?.hops.findLast(({ verdict }) => verdict === "denied");
    if (way === undefined || refusal === undefined) return undefined;
    const text = `the query to ${connection.destination}:${DNS_PORT}/udp is refused: ${refusal.text}`;
    return [{ ...refusal, hop: "name", text }];
  }

  /** All ways of a new connection to this address. */
  walk(from: Source, { destination, port, protocol, byProxy }: Connection): readonly PacketOutcome[] {
    const question = { from: this.#origin(from), destination, port, protocol, ...(byProxy ? PROXY : {}) };
    return walkPacket(this.#plans, question, { isNetworkForeign: this.#settings.isNetworkForeign === true });
  }

  #origin(from: Source): PacketQuestion["from"] {
    if (from.kind === "node") return { kind: "node", node: from.node };
    if (from.kind === "outside") return { kind: "outside", ip: from.ip, via: this.#plans[0]?.node ?? "", ranges: this.#externalAddresses() };
    const { namespace = "", name } = from.pod.metadata;
    if (!this.#plans.some((plan) => plan.pods.some((each) => each.namespace === namespace && each.name === name))) {
      throw new PlaceError(`Pod ${namespace}/${name} has no address in the pod network (it is not running, or uses its node's network)`);
    }
    return { kind: "pod", namespace, name };
  }

  /** What a machine beside the nodes can send to, other than the nodes themselves. */
  #externalAddresses(): readonly string[] {
    const { loadBalancerCIDR } = this.#settings;
    const external = this.#world.all("Service").flatMap(({ spec }) => (spec.externalIPs ?? []).filter((each) => parseIp(each) !== undefined));
    const balancers = this.#plans.flatMap(({ loadBalancerAddresses }) => loadBalancerAddresses.map(({ ip }) => ip));
    return [...(loadBalancerCIDR === undefined ? [] : [loadBalancerCIDR]), ...new Set([...external, ...balancers].map((each) => formatCidr(cidr(each))))];
  }

  #planOf(from: Source): NodePlan {
    const node = from.kind === "pod" ? from.pod.spec.nodeName : from.kind === "node" ? from.node : undefined;
    const plan = this.#plans.find((each) => each.node === node);
    if (plan === undefined) throw new PlaceError(`${from.kind === "pod" ? `Pod ${from.pod.metadata.name}` : "the client"} is on no node of this cluster yet`);
    return plan;
  }

  gatewayPort(gateway: Pod, port: number): number {
    return listenPort(workload(gateway), this.#world.inNamespace("Service", gateway.metadata.namespace ?? ""), port);
  }
}

/** A node's own programs look names up as `weft enter NODE` does. */
function resolverOf(from: Exclude<Source, { kind: "outside" }>, dnsAddress: string): Resolver {
  if (from.kind === "pod") return podResolver(from.pod, { podIP: from.pod.status?.podIP ?? "", dnsAddress });
  return { hosts: [], searches: [`svc.${clusterDomain}`, clusterDomain], options: new Map([["ndots", "5"]]) };
}

function podField({ metadata }: Pod, field: string) {
  return { kind: "Pod", namespace: metadata.namespace ?? "", name: metadata.name, field };
}

function unresolved(text: string, verdict: Verdict): Resolved {
  return { addresses: [], hops: [hop("name", text, verdict === "unknown" ? "unknown" : "executed", { verdict })], verdict };
}

function resolvedBy(resolution: Exclude<Resolution, { kind: "hosts" }>, host: string, known: Known): Resolved {
  switch (resolution.kind) {
    case "none": {
      const { exists } = resolution;
      return unresolved(exists === undefined ? `${host}: no such name (NXDOMAIN)` : `${host}: ${exists} has no address (no endpoint is ready)`, "denied");
    }
    case "foreign":
      return unresolved([...resolution.through, `${resolution.name}: asked of the resolvers of the machine below`].join("; "), "unknown");
    case "zone": {
      const { addresses, through } = resolution;
      const among = addresses.length > 1 ? ` (1 of ${addresses.length} addresses)` : "";
      const found = addresses.map(({ address, by }) => ({
        address,
        hop: hop("name", [...through, `${host} -> ${address}${among}`].join("; "), known, { by }),
      }));
      return { addresses: found, hops: [], verdict: "allowed" };
    }
  }
}
