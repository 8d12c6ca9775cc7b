/** Where a port of a Service can be called: its cluster addresses, ports of the node, external and load balancer addresses. */
import type { NodeSelf } from "#compile/node/self.ts";
import { parseIp } from "#lib/ip.ts";
import type { Service, ServicePort } from "#model/core.ts";
import type { Provenance } from "#model/provenance.ts";

export interface Frontend {
  readonly ip: string;
  readonly port: number;
  /** Cluster: from wherever, to whichever endpoint. Local: only to this node's; if external, only for who comes from outside. */
  readonly policy: "cluster" | "local" | "local for outside";
  /** Whom it serves; undefined: everybody. */
  readonly sourceRanges?: readonly string[];
  readonly by: Provenance;
}

export function frontendsOf(service: Service, port: ServicePort, index: number, self: () => NodeSelf): Frontend[] {
  const { spec, metadata } = service;
  const by = (field: string): Provenance => ({ kind: "Service", namespace: metadata.namespace ?? "", name: metadata.name, field });
  const external = spec.externalTrafficPolicy === "Local" ? "local for outside" : "cluster";
  const ranges = (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim());
  const ofPort = by(`spec.ports[${index}]`);
  const nodePort = port.nodePort ?? 0;
  return [
    ...clusterAddresses(service).map((ip): Frontend => ({
      ip,
      port: port.port,
      policy: spec.internalTrafficPolicy === "Local" ? "local" : "cluster",
      by: ofPort,
    })),
    ...(spec.externalIPs ?? []).flatMap((ip, i): Frontend[] =>
      isIpv4(ip) ? [{ ip, port: port.port, policy: external, by: by(`spec.externalIPs[${i}]`) }] : [],
    ),
    ...balancerAddresses(service).map(({ ip }): Frontend => ({
      ip,
      port: port.port,
      policy: external,
      ...(ranges.length === 0 ? {} : { sourceRanges: ranges }),
      by: ofPort,
    })),
    ...(nodePort === 0 || (spec.type !== "NodePort" && spec.type !== "LoadBalancer")
      ? []
      : self().addresses.map((ip): Frontend => ({ ip, port: nodePort, policy: external, by: by(`spec.ports[${index}].nodePort`) }))),
  ];
}

/** IPv4 so far. */
export function clusterAddresses({ spec }: Service): string[] {
  const own = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return own.filter(isIpv4);
}

/** Addresses of a balancer that is a proxy of its own are left to it: packets for them must reach it. */
export function balancerAddresses({ spec, status }: Service): { readonly ip: string; readonly field: string }[] {
  if (spec.type !== "LoadBalancer") return [];
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }, i) =>
    ip !== undefined && isIpv4(ip) && ipMode !== "Proxy" ? [{ ip, field: `status.loadBalancer.ingress[${i}]` }] : [],
  );
}

function isIpv4(text: string): boolean {
  return parseIp(text)?.family === 4;
}
