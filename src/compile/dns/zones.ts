/** The cluster's zone from the names of all Services. A headless Service without endpoints still exists as a name. */
import type { NodeSettings } from "#compile/node/settings.ts";
import { cidr, formatIp } from "#lib/ip.ts";
import type { DnsRecord, DnsZone } from "#model/plan/node-plan.ts";
import type { WorldReader } from "#model/world.ts";
import { reverseName, type ServiceNames } from "./zone.ts";

export function clusterZone(world: WorldReader, names: readonly ServiceNames[], settings: NodeSettings): DnsZone {
  const domain = settings.clusterDomain;
  const records = new Map<string, DnsRecord[]>();
  const add = (name: string, record: DnsRecord) => {
    const known = records.get(name);
    if (known === undefined) records.set(name, [record]);
    else known.push(record);
  };
  for (const list of names) for (const [name, record] of list) add(name, record);
  // Kubernetes' DNS specification 2.2.
  add(`dns-version.${domain}`, { type: "TXT", text: "1.1.0" });
  add(`ns.dns.${domain}`, { type: "A", address: settings.dnsAddress });
  for (const service of world.all("Service")) {
    const name = `${service.metadata.name}.${service.metadata.namespace ?? ""}.svc.${domain}`.toLowerCase();
    if (!records.has(name)) records.set(name, []);
  }
  return {
    domain,
    reverse: [...new Set([settings.serviceCIDR, settings.podCIDR].map(reverseZone))].sort(),
    namespaces: world.all("Namespace").map(({ metadata }) => metadata.name),
    names: Object.fromEntries([...records.keys()].sort().map((name): [string, DnsRecord[]] => [name, distinct(records.get(name) ?? [])])),
  };
}

/** Each once: the first tells where it comes from. */
function distinct(records: DnsRecord[]): DnsRecord[] {
  if (records.length < 2) return records;
  const byText = new Map<string, DnsRecord>();
  for (const record of records) {
    const text = recordText(record);
    if (!byText.has(text)) byText.set(text, record);
  }
  return byText.size === records.length ? records : [...byText.values()];
}

/** All of a record but where it comes from. */
function recordText(record: DnsRecord): string {
  switch (record.type) {
    case "A":
    case "AAAA":
      return `${record.type} ${record.address}`;
    case "CNAME":
    case "PTR":
      return `${record.type} ${record.target}`;
    case "SRV":
      return `SRV ${record.weight} ${record.port} ${record.target}`;
    case "TXT":
      return `TXT ${record.text}`;
  }
}

/** The zone of whole octets (or nibbles) that holds the range: "10.96.0.0/16" -> "96.10.in-addr.arpa". */
export function reverseZone(range: string): string {
  const { ip: first, prefix } = cidr(range);
  const labels = reverseName(formatIp(first)).split(".");
  const [width, count] = first.family === 4 ? [8, 4] : [4, 32];
  return labels.slice(count - Math.floor(prefix / width)).join(".");
}
