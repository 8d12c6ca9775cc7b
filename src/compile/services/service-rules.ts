/**
 * One Service as elements of the flat maps that all Services share: (address, protocol, port) goes to the chain for
 * its number of endpoints, and (address, protocol, port, i) is the i-th endpoint. A port without endpoints is in the map
 * of refusals instead. Cost: one lookup for any number of Services (see assemble in services.ts for the rules).
 */
import { comment } from "#compile/node/naming.ts";
import type { NodeReader } from "#compile/node/pods.ts";
import { compareIps, parseIp } from "#lib/ip.ts";
import type { MapElement } from "#lib/nft-ruleset.ts";
import type { Service, ServicePort } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { BalancedPort, PlanProblem } from "#model/plan/node-plan.ts";
import { formatProvenance, type Provenance } from "#model/provenance.ts";

export interface ServiceRules {
  readonly services: readonly MapElement[];
  readonly endpoints: readonly MapElement[];
  readonly refused: readonly MapElement[];
  readonly loadBalancerAddresses: readonly { readonly ip: string; readonly by: Provenance }[];
  readonly balanced: readonly BalancedPort[];
  readonly problems: readonly PlanProblem[];
}

const NOTHING: ServiceRules = { services: [], endpoints: [], refused: [], loadBalancerAddresses: [], balanced: [], problems: [] };

export function compileService(reader: NodeReader, key: string, node: string): ServiceRules {
  const service = reader.get("Service", key);
  if (service === undefined || service.spec.type === "ExternalName") return NOTHING;
  const by = (field: string): Provenance => ({ kind: "Service", namespace: service.metadata.namespace ?? "", name: service.metadata.name, field });
  const addresses = addressesOf(service, by);
  const slices = reader.slicesOf(key);
  const balanced: BalancedPort[] = [];
  const services: MapElement[] = [];
  const endpoints: MapElement[] = [];
  const refused: MapElement[] = [];
  for (const address of addresses) {
    for (const [index, port] of (service.spec.ports ?? []).entries()) {
      if (port.protocol === "SCTP") continue;
      const protocol = port.protocol === "UDP" ? "udp" : "tcp";
      const from = by(`spec.ports[${index}]`);
      const { ready, draining } = endpointsOf(slices, port, { ip: address.ip, node: address.local ? node : undefined });
      const match = [address.ip, protocol, String(port.port)];
      const verdictComment = comment(formatProvenance(from));
      if (ready.length === 0) refused.push({ key: match, value: { kind: "goto", chain: REFUSE_CHAIN }, comment: verdictComment });
      else services.push({ key: match, value: { kind: "goto", chain: countChain(ready.length) }, comment: verdictComment });
      for (const [i, endpoint] of ready.entries()) {
        endpoints.push({ key: [...match, String(i)], value: [endpoint.ip, String(endpoint.port)], comment: comment(formatProvenance(endpoint.by)) });
      }
      balanced.push({ address: address.ip, protocol, port: port.port, endpoints: ready.map(endpointText), draining: draining.map(endpointText), by: from });
    }
  }
  const loadBalancerAddresses = addresses.filter(({ balancer }) => balancer).map(({ ip, by: from }) => ({ ip, by: from }));
  return { services, endpoints, refused, loadBalancerAddresses, balanced, problems: problemsOf(service, by) };
}

export const REFUSE_CHAIN = "refuse";
export const countChain = (count: number) => `endpoints-${count}`;

interface ServiceAddress {
  readonly ip: string;
  /** Only endpoints of this node serve it. */
  readonly local: boolean;
  readonly balancer: boolean;
  readonly by: Provenance;
}

function addressesOf(service: Service, by: (field: string) => Provenance): ServiceAddress[] {
  const { spec, status } = service;
  const found: ServiceAddress[] = [];
  const own = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  for (const [i, ip] of own.entries()) {
    if (parseIp(ip)?.family === 4) found.push({ ip, local: spec.internalTrafficPolicy === "Local", balancer: false, by: by(`spec.clusterIPs[${i}]`) });
  }
  if (spec.type !== "LoadBalancer" || (spec.loadBalancerSourceRanges ?? []).length > 0) return found;
  for (const [i, { ip }] of (status?.loadBalancer?.ingress ?? []).entries()) {
    if (ip === undefined || parseIp(ip)?.family !== 4) continue;
    found.push({ ip, local: spec.externalTrafficPolicy === "Local", balancer: true, by: by(`status.loadBalancer.ingress[${i}]`) });
  }
  return found;
}

interface PortEndpoint {
  readonly ip: string;
  readonly port: number;
  readonly by: Provenance;
}

const endpointText = ({ ip, port }: PortEndpoint) => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Ready ones; if there are none, those that still serve while they terminate (as kube-proxy does). */
function endpointsOf(
  slices: readonly EndpointSlice[],
  port: ServicePort,
  only: { readonly ip: string; readonly node: string | undefined },
): { ready: PortEndpoint[]; draining: PortEndpoint[] } {
  const groups: Record<"ready" | "serving" | "other", Map<string, PortEndpoint>> = { ready: new Map(), serving: new Map(), other: new Map() };
  const family = only.ip.includes(":") ? "IPv6" : "IPv4";
  for (const slice of slices) {
    if (slice.addressType !== family) continue;
    const number = slice.ports?.find((each) => (each.name ?? "") === (port.name ?? "") && (each.protocol ?? "TCP") === (port.protocol ?? "TCP"))?.port;
    if (number === undefined) continue;
    for (const [i, endpoint] of slice.endpoints.entries()) {
      if (only.node !== undefined && endpoint.nodeName !== only.node) continue;
      const { ready = true, serving = ready, terminating = false } = endpoint.conditions ?? {};
      const group = ready && !terminating ? groups.ready : serving ? groups.serving : groups.other;
      const by: Provenance = { kind: "EndpointSlice", namespace: slice.metadata.namespace ?? "", name: slice.metadata.name, field: `endpoints[${i}]` };
      const [ip] = endpoint.addresses;
      if (ip === undefined) continue;
      const key = `${ip}:${number}`;
      if (!group.has(key)) group.set(key, { ip, port: number, by });
    }
  }
  const ready = groups.ready.size > 0 ? groups.ready : groups.serving;
  const draining = [...groups.serving.values(), ...groups.other.values()].filter(({ ip, port: number }) => !ready.has(`${ip}:${number}`));
  return { ready: inOrder([...ready.values()]), draining: inOrder(draining) };
}

function inOrder(endpoints: PortEndpoint[]): PortEndpoint[] {
  return endpoints.sort((a, b) => {
    const [x, y] = [parseIp(a.ip), parseIp(b.ip)];
    return (x === undefined || y === undefined ? 0 : compareIps(x, y)) || a.port - b.port;
  });
}

function problemsOf(service: Service, by: (field: string) => Provenance): PlanProblem[] {
  const { spec } = service;
  const problems: PlanProblem[] = [];
  const refuse = (field: string, message: string) => problems.push({ by: by(field), message });
  if (spec.sessionAffinity === "ClientIP")
    refuse("spec.sessionAffinity", 'value "ClientIP" is not supported yet: connections are spread over all endpoints; remove it or use a DestinationRule');
  if (spec.type === "NodePort")
    refuse("spec.type", 'value "NodePort": node ports are not opened yet; the cluster IP works, and type LoadBalancer gives an address outside');
  if ((spec.externalIPs ?? []).length > 0) refuse("spec.externalIPs", "external IPs are not served; use type LoadBalancer");
  if (spec.type === "LoadBalancer" && (spec.loadBalancerSourceRanges ?? []).length > 0) {
    refuse(
      "spec.loadBalancerSourceRanges",
      "source ranges are not supported yet, so the load balancer address is not served; use a NetworkPolicy with ipBlock instead",
    );
  }
  for (const [i, port] of (spec.ports ?? []).entries()) {
    if (port.protocol === "SCTP") refuse(`spec.ports[${i}].protocol`, `port ${port.port} is not served: SCTP is not supported; TCP and UDP are`);
  }
  for (const [i, ip] of (spec.clusterIPs ?? []).entries()) {
    if (parseIp(ip)?.family === 6) refuse(`spec.clusterIPs[${i}]`, `address ${ip} is not served: services have IPv4 addresses only so far`);
  }
  return problems;
}
