/**
 * Answers from the cluster's zone. A name that exists without the type that was asked gives NODATA, one that does not
 * exist NXDOMAIN, both with the SOA: without them resolvers would not walk their search list, or would not cache.
 */
import { ip, formatIp, parseIp } from "#lib/ip.ts";
import type { DnsRecord, DnsZone } from "#model/plan/node-plan.ts";
import { CLASS_IN, RCODES, TYPES, type RecordData, type ResourceRecord } from "#wire/dns/message.ts";
import type { Answer, Query } from "./query.ts";

/** As CoreDNS: short, because endpoints move. */
export const TTL_SECONDS = 5;
/** A CNAME may lead to a CNAME; longer chains are somebody's mistake. */
const MAX_CNAMES = 8;

/** A name outside the zone that an answer ends at: the caller looks it up and appends. */
export interface ZoneAnswer extends Answer {
  readonly continueAt?: string;
}

/** undefined: the name is not in this zone. */
export function answerFromZone(zone: DnsZone, query: Query): ZoneAnswer | undefined {
  const suffix = [zone.domain, ...zone.reverse].find((each) => query.key === each || query.key.endsWith(`.${each}`));
  if (suffix === undefined && zone.names[query.key] === undefined) return undefined;
  const apex = suffix ?? query.key.slice(query.key.indexOf(".") + 1);
  // The question's own spelling of the zone: some resolvers check the case of what comes back.
  const spelled = query.name.slice(query.name.length - apex.length);
  const name = (text: string) => (text === query.key ? query.name : text.endsWith(`.${apex}`) ? text.slice(0, text.length - apex.length) + spelled : text);
  const soa = [soaRecord(spelled)];
  if (query.key === apex) return atApex(zone, query, spelled);
  const answers: ResourceRecord[] = [];
  let at = query.key;
  for (let i = 0; i < MAX_CNAMES; i += 1) {
    const records = recordsAt(zone, at);
    if (records === undefined) return { ...EMPTY, rcode: i === 0 ? RCODES.NXDOMAIN : RCODES.NOERROR, answers, authorities: soa };
    const cname = records.find((record) => record.type === "CNAME");
    if (cname?.type !== "CNAME" || query.type === TYPES.CNAME) {
      const found = records.filter((record) => TYPES[record.type] === query.type || query.type === TYPES.ANY);
      answers.push(...found.map((record) => resourceRecord(name(at), record, name)));
      return { ...EMPTY, answers, authorities: answers.length === 0 ? soa : [], additionals: targetsOf(zone, found, name) };
    }
    answers.push(resourceRecord(name(at), cname, name));
    at = cname.target;
    if (at !== apex && !at.endsWith(`.${apex}`)) return { ...EMPTY, answers, continueAt: at };
  }
  return { ...EMPTY, rcode: RCODES.SERVFAIL };
}

const EMPTY: Answer = { rcode: RCODES.NOERROR, authoritative: true, answers: [], authorities: [], additionals: [] };

function atApex(zone: DnsZone, query: Query, spelled: string): Answer {
  if (query.type === TYPES.SOA) return { ...EMPTY, answers: [soaRecord(spelled)] };
  if (query.type !== TYPES.NS) return { ...EMPTY, authorities: [soaRecord(spelled)] };
  const target = `ns.dns.${zone.domain}`;
  const addresses = (zone.names[target] ?? []).map((record) => resourceRecord(target, record, (text) => text));
  return { ...EMPTY, answers: [record(query.name, { type: "NS", target })], additionals: addresses };
}

/** undefined: there is no such name; empty: it exists, without records. */
function recordsAt(zone: DnsZone, name: string): readonly DnsRecord[] | undefined {
  const records = zone.names[name];
  if (records !== undefined) return records;
  const pod = podRecords(zone, name);
  if (pod !== undefined) return pod;
  return existing(zone).has(name) ? [] : undefined;
}

/** "10-244-0-5.default.pod.cluster.local" is 10.244.0.5, as Kubernetes' specification has it. */
function podRecords(zone: DnsZone, name: string): readonly DnsRecord[] | undefined {
  const suffix = `.pod.${zone.domain}`;
  const [label = "", namespace = "", more] = name.endsWith(suffix) ? name.slice(0, -suffix.length).split(".") : [];
  if (more !== undefined || !zone.namespaces.includes(namespace)) return undefined;
  const address = parseIp(label.replaceAll("-", ".")) ?? parseIp(label.replaceAll("-", ":"));
  return address === undefined ? undefined : [{ type: address.family === 4 ? "A" : "AAAA", address: formatIp(address) }];
}

const existingNames = new WeakMap<DnsZone, ReadonlySet<string>>();

/** Names without records of their own that lie above others: "_tcp.reviews.default.svc.cluster.local". */
function existing(zone: DnsZone): ReadonlySet<string> {
  let names = existingNames.get(zone);
  if (names !== undefined) return names;
  const found = new Set<string>();
  const roots = zone.namespaces.flatMap((namespace) => [`${namespace}.svc.${zone.domain}`, `${namespace}.pod.${zone.domain}`]);
  for (const name of [...roots, `svc.${zone.domain}`, `pod.${zone.domain}`, ...Object.keys(zone.names)]) {
    for (let at = name; at !== "" && at !== zone.domain && !found.has(at); at = at.slice(at.indexOf(".") + 1)) {
      found.add(at);
      if (!at.includes(".")) break;
    }
  }
  names = found;
  existingNames.set(zone, names);
  return names;
}

/** Addresses of SRV targets, so that nobody has to ask again. */
function targetsOf(zone: DnsZone, records: readonly DnsRecord[], name: (text: string) => string): ResourceRecord[] {
  const targets = new Set(records.flatMap((each) => (each.type === "SRV" ? [each.target] : [])));
  return [...targets].flatMap((target) =>
    (zone.names[target] ?? []).filter(({ type }) => type === "A" || type === "AAAA").map((each) => resourceRecord(name(target), each, name)),
  );
}

function resourceRecord(owner: string, from: DnsRecord, name: (text: string) => string): ResourceRecord {
  switch (from.type) {
    case "A":
    case "AAAA":
      return record(owner, { type: from.type, address: formatIp(ip(from.address)) });
    case "CNAME":
    case "PTR":
      return record(owner, { type: from.type, target: name(from.target) });
    case "SRV":
      return record(owner, { type: "SRV", priority: 0, weight: from.weight, port: from.port, target: name(from.target) });
    case "TXT":
      return record(owner, { type: "TXT", texts: [Buffer.from(from.text)] });
  }
}

function record(name: string, data: RecordData): ResourceRecord {
  return { name, class: CLASS_IN, ttlSeconds: TTL_SECONDS, data };
}

/** The serial never matters: nobody transfers this zone. */
function soaRecord(zone: string): ResourceRecord {
  return record(zone, {
    type: "SOA",
    primary: `ns.dns.${zone}`,
    mailbox: `hostmaster.${zone}`,
    serial: 1,
    refresh: 7200,
    retry: 1800,
    expire: 86400,
    minimum: TTL_SECONDS,
  });
}
