/** Names of one Service, by Kubernetes' DNS specification: A and AAAA, CNAME, SRV for named ports, PTR for who has one name. */
import type { NodeReader } from "#compile/node/pods.ts";
import { ip, ipBytes, parseIp } from "#lib/ip.ts";
import type { Service } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { DnsRecord } from "#model/plan/node-plan.ts";
import type { Provenance } from "#model/provenance.ts";

/** Pairs of name and record. */
export type ServiceNames = readonly (readonly [string, DnsRecord])[];

export function compileNames(reader: NodeReader, key: string, domain: string): ServiceNames {
  const service = reader.get("Service", key);
  if (service === undefined) return [];
  const name = `${service.metadata.name}.${service.metadata.namespace ?? ""}.svc.${domain}`.toLowerCase();
  const by: Provenance = { kind: "Service", namespace: service.metadata.namespace ?? "", name: service.metadata.name, field: "" };
  if (service.spec.type === "ExternalName") {
    const target = (service.spec.externalName ?? "").replace(/[.]$/, "").toLowerCase();
    return target === "" ? [] : [[name, { type: "CNAME", target, by: { ...by, field: "spec.externalName" } }]];
  }
  const endpoints = endpointsOf(reader.slicesOf(key), service, name);
  if (isHeadless(service)) return headless(endpoints, name);
  return [...balanced(service, name, by), ...endpoints.filter(({ named }) => named).flatMap(ownNames)];
}

function isHeadless(service: Service): boolean {
  return service.spec.clusterIP === "None" || service.spec.clusterIPs?.[0] === "None";
}

function balanced(service: Service, name: string, by: Provenance): [string, DnsRecord][] {
  const { clusterIP, clusterIPs = clusterIP === undefined ? [] : [clusterIP], ports = [] } = service.spec;
  const addresses = clusterIPs.filter((address) => parseIp(address) !== undefined);
  const records: [string, DnsRecord][] = [];
  for (const [i, address] of addresses.entries()) {
    const from = { ...by, field: `spec.clusterIPs[${i}]` };
    records.push([name, addressRecord(address, from)], [reverseName(address), { type: "PTR", target: name, by: from }]);
  }
  if (addresses.length === 0) return records;
  const weight = Math.floor(100 / addresses.length);
  for (const [i, port] of ports.entries()) {
    const srv: DnsRecord = { type: "SRV", weight, port: port.port, target: name, by: { ...by, field: `spec.ports[${i}]` } };
    records.push([name, srv]);
    if (port.name !== undefined && port.name !== "") records.push([srvName(port.name, port.protocol, name), srv]);
  }
  return records;
}

interface NamedEndpoint {
  readonly host: string;
  readonly address: string;
  /** It has a hostname of its own. */
  readonly named: boolean;
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
  readonly by: Provenance;
}

function endpointsOf(slices: readonly EndpointSlice[], service: Service, name: string): NamedEndpoint[] {
  const unready = service.spec.publishNotReadyAddresses === true;
  const found: NamedEndpoint[] = [];
  for (const slice of slices) {
    const ports = (slice.ports ?? []).flatMap((port) =>
      port.port === undefined ? [] : [{ name: port.name ?? "", protocol: port.protocol ?? "TCP", port: port.port }],
    );
    for (const [i, endpoint] of slice.endpoints.entries()) {
      if (!unready && endpoint.conditions?.ready === false) continue;
      const by: Provenance = { kind: "EndpointSlice", namespace: slice.metadata.namespace ?? "", name: slice.metadata.name, field: `endpoints[${i}]` };
      for (const address of endpoint.addresses) {
        if (parseIp(address) === undefined) continue;
        const label = endpoint.hostname ?? address.replaceAll(/[.:]/g, "-");
        found.push({ host: `${label}.${name}`.toLowerCase(), address, named: endpoint.hostname !== undefined, ports, by });
      }
    }
  }
  return found;
}

function headless(endpoints: readonly NamedEndpoint[], name: string): [string, DnsRecord][] {
  const weight = Math.max(1, Math.floor(100 / Math.max(1, endpoints.length)));
  return endpoints.flatMap((endpoint): [string, DnsRecord][] => [
    [name, addressRecord(endpoint.address, endpoint.by)],
    ...ownNames(endpoint),
    ...endpoint.ports.flatMap(({ name: portName, protocol, port }): [string, DnsRecord][] => {
      const srv: DnsRecord = { type: "SRV", weight, port, target: endpoint.host, by: endpoint.by };
      return [[name, srv], ...(portName === "" ? [] : [[srvName(portName, protocol, name), srv] satisfies [string, DnsRecord]])];
    }),
  ]);
}

function ownNames({ host, address, by }: NamedEndpoint): [string, DnsRecord][] {
  return [
    [host, addressRecord(address, by)],
    [reverseName(address), { type: "PTR", target: host, by }],
  ];
}

function srvName(port: string, protocol: string | undefined, service: string): string {
  return `_${port}._${protocol ?? "TCP"}.${service}`.toLowerCase();
}

function addressRecord(address: string, by: Provenance): DnsRecord {
  return { type: address.includes(":") ? "AAAA" : "A", address, by };
}

/** "100.0.0.10.in-addr.arpa". */
export function reverseName(address: string): string {
  const bytes = ipBytes(ip(address));
  if (bytes.length === 4) return `${[...bytes].reverse().join(".")}.in-addr.arpa`;
  const nibbles = [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
  return `${nibbles
    .reverse()
    .map((nibble) => nibble.toString(16))
    .join(".")}.ip6.arpa`;
}
