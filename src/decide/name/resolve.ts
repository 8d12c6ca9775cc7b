/** What becomes of a name inside a pod, as its resolver asks: /etc/hosts, then the search list against the cluster's zone. */
import type { DnsZone } from "#model/plan/node-plan.ts";
import { formatProvenance, type Provenance } from "#model/provenance.ts";
import { TYPES } from "#wire/dns/message.ts";
import { answerFromZone } from "./answer-from-zone.ts";
import { toQuery } from "./query.ts";

export interface Resolver {
  readonly hosts: readonly { readonly ip: string; readonly names: readonly string[]; readonly field?: string }[];
  readonly searches: readonly string[];
  readonly options: ReadonlyMap<string, string | undefined>;
}

export interface ResolvedAddress {
  readonly address: string;
  readonly by: Provenance | undefined;
}

export type Resolution =
  /** By the pod's own /etc/hosts: no query leaves it. */
  | { readonly kind: "hosts"; readonly address: string; readonly field: string | undefined }
  /** `through`: aliases on the way, each with what it came from. */
  | { readonly kind: "zone"; readonly name: string; readonly through: readonly string[]; readonly addresses: readonly ResolvedAddress[] }
  /** NXDOMAIN, or names without addresses (a headless Service without ready endpoints); then `exists` is set. */
  | { readonly kind: "none"; readonly exists: string | undefined }
  /** Somebody else's name: the resolvers of the machine below are asked for it. */
  | { readonly kind: "foreign"; readonly name: string; readonly through: readonly string[] };

/** resolv.conf(5). */
const DEFAULT_NDOTS = 1;

export function resolveName(zone: DnsZone, resolver: Resolver, written: string): Resolution {
  const name = written.replace(/\.$/, "");
  const known = written.endsWith(".") ? undefined : resolver.hosts.find(({ names }) => names.some((each) => each.toLowerCase() === name.toLowerCase()));
  if (known !== undefined) return { kind: "hosts", address: known.ip, field: known.field };
  let exists: string | undefined;
  for (const candidate of candidates(written, name, resolver)) {
    const answer = answerFromZone(zone, toQuery(candidate, TYPES.A));
    if (answer === undefined) return { kind: "foreign", name: candidate, through: [] };
    const through = answer.answers.flatMap(({ data, name: owner }) =>
      data.type === "CNAME" ? [`${owner} is an alias of ${data.target}${source(zone, owner)}`] : [],
    );
    if (answer.continueAt !== undefined) return { kind: "foreign", name: answer.continueAt, through };
    const addresses = answer.answers.flatMap(({ data, name: owner }): ResolvedAddress[] =>
      data.type === "A"
        ? [{ address: data.address, by: recordsOf(zone, owner).find((record) => record.type === "A" && record.address === data.address)?.by }]
        : [],
    );
    if (addresses.length > 0) return { kind: "zone", name: candidate, through, addresses };
    if (answer.rcode === 0 && exists === undefined) exists = candidate;
  }
  return { kind: "none", exists };
}

/** resolv.conf(5): a name with fewer dots than ndots is first looked for in the search list; one that ends with a dot is never. */
function candidates(written: string, name: string, { searches, options }: Resolver): readonly string[] {
  if (written.endsWith(".")) return [name];
  const ndots = Number(options.get("ndots") ?? DEFAULT_NDOTS);
  const extended = searches.map((suffix) => `${name}.${suffix}`);
  return name.split(".").length - 1 < ndots ? [...extended, name] : [name, ...extended];
}

function recordsOf(zone: DnsZone, owner: string): DnsZone["names"][string] {
  return zone.names[owner.toLowerCase()] ?? [];
}

function source(zone: DnsZone, owner: string): string {
  const by = recordsOf(zone, owner).find(({ type }) => type === "CNAME")?.by;
  return by === undefined ? "" : ` (${formatProvenance(by)})`;
}
