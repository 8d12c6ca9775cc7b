/**
 * One Service as elements of the flat maps that all Services share: (address, protocol, port) goes to the chain for
 * its number of endpoints, and (address, protocol, port, i) is the i-th endpoint. A port without endpoints is in the map
 * of refusals instead. Cost: one lookup for any number of Services (see services.ts for the rules).
 */
import { SERVICE_LABELS } from "#compile/node/kept.ts";
import { comment, isShort } from "#compile/node/naming.ts";
import type { NodeReader } from "#compile/node/pods.ts";
import { serviceRanges, type NodeSettings } from "#compile/node/settings.ts";
import { cidr, contains, containsCidr, ip, parseCidr } from "#lib/ip.ts";
import { markText, type MapElement, type SetElement } from "#lib/nft-ruleset.ts";
import type { Service, ServicePort } from "#model/core.ts";
import type { BalancedPort, PlanProblem, ServiceHealthCheck } from "#model/plan/node-plan.ts";
import { formatProvenance, type Provenance } from "#model/provenance.ts";
import { createHash } from "node:crypto";
import { balanceChainName, type BalanceChain } from "./balance-chains.ts";
import { endpointsOf, endpointText, type PortEndpoint, type PortEndpoints } from "./endpoints.ts";
import { balancerAddresses, clusterAddresses, frontendsOf, type Frontend } from "./frontends.ts";
import { serviceProblems } from "./service-problems.ts";

/** Elements, by the set or map that they are in. */
export interface ServiceElements {
  readonly services: readonly MapElement[];
  /** For who calls from a pod or from the node itself, where that makes a difference. */
  readonly inside: readonly MapElement[];
  readonly endpoints: readonly MapElement[];
  readonly refused: readonly MapElement[];
  /** Of ports that remember their clients. */
  readonly marks: readonly MapElement[];
  readonly sticky: readonly MapElement[];
  /** Ports that serve only some sources, and these sources. */
  readonly restricted: readonly MapElement[];
  readonly allowed: readonly SetElement[];
}

export interface ServiceRules extends ServiceElements {
  readonly chains: readonly BalanceChain[];
  /** Of its own addresses those that are in none of the cluster's ranges. */
  readonly outsideAddresses: readonly string[];
  readonly loadBalancerAddresses: readonly { readonly ip: string; readonly by: Provenance }[];
  readonly balanced: readonly BalancedPort[];
  readonly healthChecks: readonly ServiceHealthCheck[];
  readonly problems: readonly PlanProblem[];
  /** Texts of comments that are too long for the kernel. */
  readonly notes: readonly string[];
}

export const REFUSE_CHAIN = "refuse";
/** Where a port is served, but not by this node. */
export const ELSEWHERE_CHAIN = "served-elsewhere";
export const RESTRICTED_CHAIN = "check-source";

/** Fills in the elements of one Service, or of whoever else has ports. */
export class ServiceElementsBuilder {
  readonly services: MapElement[] = [];
  readonly inside: MapElement[] = [];
  readonly endpoints: MapElement[] = [];
  readonly refused: MapElement[] = [];
  readonly marks: MapElement[] = [];
  readonly sticky: MapElement[] = [];
  readonly restricted: MapElement[] = [];
  readonly allowed: SetElement[] = [];
  readonly chains: BalanceChain[] = [];
  readonly balanced: BalancedPort[] = [];
  readonly #notes = new Set<string>();

  get notes(): readonly string[] {
    return [...this.#notes];
  }

  add(
    { ip, port, policy, sourceRanges, by }: Frontend,
    protocol: "tcp" | "udp",
    { cluster, local, draining }: Omit<PortEndpoints, "readyHere">,
    seconds: number,
  ): void {
    const key = [ip, protocol, String(port)];
    const text = this.#comment(by);
    const goto = (chain: string): MapElement => ({ key, value: { kind: "goto", chain }, comment: text });
    const balance = (count: number, offset: number) => {
      const chain = { count, offset, seconds };
      this.chains.push(chain);
      return goto(balanceChainName(chain));
    };
    // Both lists are runs of this one: the node's own come first, and those that are in both in the middle.
    const served = policy === "cluster" ? cluster : local;
    const onlyServed = served.filter((each) => !cluster.includes(each));
    const others = policy === "local for outside" ? cluster.filter((each) => !served.includes(each)) : [];
    const all = [...onlyServed, ...served.filter((each) => cluster.includes(each)), ...others];
    if (served.length > 0) this.services.push(balance(served.length, 0));
    else this.refused.push(goto(cluster.length === 0 ? REFUSE_CHAIN : ELSEWHERE_CHAIN));
    if (policy === "local for outside" && cluster.length > 0) this.inside.push(balance(cluster.length, onlyServed.length));
    this.#endpoints(key, all, seconds);
    if (sourceRanges !== undefined) this.#restrict(key, ip, sourceRanges, { ...by, field: "spec.loadBalancerSourceRanges" });
    this.balanced.push({ address: ip, protocol, port, endpoints: all.map(endpointText), draining: draining.map(endpointText), by });
  }

  #endpoints(key: readonly string[], endpoints: readonly PortEndpoint[], seconds: number): void {
    const marks = new Set<number>();
    for (const [i, endpoint] of endpoints.entries()) {
      const number = [...key, String(i)];
      const value = [endpoint.ip, String(endpoint.port)];
      const text = this.#comment(endpoint.by);
      if (seconds === 0) {
        this.endpoints.push({ key: number, value, comment: text });
        continue;
      }
      const mark = markText(ownMark(endpoint, marks));
      this.marks.push({ key: number, value: [mark], comment: text });
      this.sticky.push({ key: [...key, mark], value, comment: text });
    }
  }

  #restrict(key: readonly string[], ip: string, ranges: readonly string[], by: Provenance): void {
    this.restricted.push({ key, value: { kind: "goto", chain: RESTRICTED_CHAIN }, comment: this.#comment(by) });
    // A node that has the address as its own calls from it.
    for (const range of outermost([...ranges, `${ip}/32`])) this.allowed.push({ key: [...key, range] });
  }

  #comment(by: Provenance): string {
    const text = formatProvenance(by);
    if (!isShort(text)) this.#notes.add(text);
    return comment(text);
  }
}

export function compileService(reader: NodeReader, settings: NodeSettings, key: string): ServiceRules | undefined {
  const service = reader.get("Service", key);
  if (service === undefined || service.spec.type === "ExternalName" || isForAnother(service)) return undefined;
  const slices = reader.slicesOf(key);
  const self = () => reader.self();
  const found = new ServiceElementsBuilder();
  const local = new Set<string>();
  for (const [index, port] of (service.spec.ports ?? []).entries()) {
    const frontends = port.protocol === "SCTP" ? [] : frontendsOf(service, port, index, self);
    if (frontends.length === 0) continue;
    const endpoints = endpointsOf(slices, port, self);
    for (const ip of endpoints.readyHere) local.add(ip);
    for (const frontend of frontends) found.add(frontend, protocolOf(port), endpoints, secondsOf(service));
  }
  const by = (field: string): Provenance => ({ kind: "Service", namespace: service.metadata.namespace ?? "", name: service.metadata.name, field });
  return {
    ...elementsOf(found),
    outsideAddresses: outsideOf(clusterAddresses(service), settings),
    loadBalancerAddresses: balancerAddresses(service).map(({ ip, field }) => ({ ip, by: by(field) })),
    healthChecks: healthChecks(service, local.size, by("spec.healthCheckNodePort")),
    problems: serviceProblems(service, slices),
  };
}

export function elementsOf(found: ServiceElementsBuilder): Omit<ServiceRules, "outsideAddresses" | "loadBalancerAddresses" | "healthChecks" | "problems"> {
  const { services, inside, endpoints, refused, marks, sticky, restricted, allowed, chains, balanced, notes } = found;
  return { services, inside, endpoints, refused, marks, sticky, restricted, allowed, chains, balanced, notes };
}

function outsideOf(addresses: readonly string[], settings: NodeSettings): string[] {
  if (addresses.length === 0) return [];
  const ranges = serviceRanges(settings).map(cidr);
  return addresses.filter((address) => !ranges.some((range) => contains(range, ip(address))));
}

/** Who made it serves it. Its names are answered. */
function isForAnother({ metadata: { labels = {} } }: Service): boolean {
  return SERVICE_LABELS.some((label) => labels[label] !== undefined);
}

const DEFAULT_AFFINITY_SECONDS = 10_800;

function secondsOf({ spec }: Service): number {
  return spec.sessionAffinity === "ClientIP" ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS) : 0;
}

function protocolOf({ protocol }: ServicePort): "tcp" | "udp" {
  return protocol === "UDP" ? "udp" : "tcp";
}

function healthChecks({ spec, metadata }: Service, localEndpoints: number, by: Provenance): ServiceHealthCheck[] {
  const port = spec.healthCheckNodePort ?? 0;
  if (spec.type !== "LoadBalancer" || spec.externalTrafficPolicy !== "Local" || port === 0) return [];
  return [{ port, namespace: metadata.namespace ?? "", name: metadata.name, localEndpoints, by }];
}

/** The same for an endpoint on every node and at any time; not 0, which no endpoint has. */
function ownMark(endpoint: PortEndpoint, taken: Set<number>): number {
  let mark = createHash("sha256").update(endpointText(endpoint)).digest().readUInt32BE(0);
  while (mark === 0 || taken.has(mark)) mark = (mark + 1) >>> 0;
  taken.add(mark);
  return mark;
}

/** Ranges of one set must not overlap. Those of another family than IPv4 are nobody's address here. */
function outermost(ranges: readonly string[]): string[] {
  const known = [...new Set(ranges)].filter((range) => parseCidr(range)?.ip.family === 4).sort();
  return known.filter((range, i) =>
    known.every((other, j) => i === j || !containsCidr(cidr(other), cidr(range)) || (containsCidr(cidr(range), cidr(other)) && i < j)),
  );
}
