/** How names are looked up inside a pod: its /etc/hosts and its /etc/resolv.conf, as values. */
import type { Pod } from "#model/core.ts";
import { clusterDomain } from "#compile/mesh/settings.ts";

export interface PodResolver {
  /** In the order of the file; the first that has a name wins. */
  readonly hosts: readonly { readonly ip: string; readonly names: readonly string[]; readonly field?: string }[];
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  /** "ndots" to "5"; undefined for an option without a value. */
  readonly options: ReadonlyMap<string, string | undefined>;
}

export function podHostname(pod: Pod): string {
  // The kernel's limit is 64 with the terminator; kubelet cuts at 63 as well.
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/, "");
}

/** dnsPolicy None takes only what dnsConfig says; every other asks the node's DNS server, which forwards what is not the cluster's. */
export function podResolver(pod: Pod, facts: { readonly podIP: string; readonly dnsAddress: string }): PodResolver {
  const namespace = pod.metadata.namespace ?? "default";
  const { dnsPolicy, dnsConfig, subdomain, hostAliases } = pod.spec;
  const cluster = dnsPolicy === undefined || dnsPolicy.startsWith("ClusterFirst");
  const options = new Map<string, string | undefined>(cluster ? [["ndots", "5"]] : []);
  for (const { name, value } of dnsConfig?.options ?? []) if (name !== undefined) options.set(name, value);
  const hostname = podHostname(pod);
  const full = subdomain === undefined || subdomain === "" ? [] : [`${hostname}.${subdomain}.${namespace}.svc.${clusterDomain}`];
  const searches = cluster ? [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain] : [];
  return {
    hosts: [
      { ip: "127.0.0.1", names: ["localhost"] },
      { ip: "::1", names: ["localhost", "ip6-localhost", "ip6-loopback"] },
      { ip: facts.podIP, names: [...full, hostname] },
      ...(hostAliases ?? []).map(({ ip, hostnames = [] }, i) => ({ ip: ip ?? "", names: hostnames, field: `spec.hostAliases[${i}]` })),
    ],
    nameservers: [...(dnsPolicy === "None" ? [] : [facts.dnsAddress]), ...(dnsConfig?.nameservers ?? [])],
    searches: [...searches, ...(dnsConfig?.searches ?? [])],
    options,
  };
}
