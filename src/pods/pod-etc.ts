/** The pod's own files of /etc: names, resolver, users. Pure. */
import type { Pod } from "#model/core.ts";

export interface EtcFacts {
  readonly podIP: string;
  readonly dnsAddress: string;
  /** Users that containers run as (securityContext.runAsUser). */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
}

export function podHostname(pod: Pod): string {
  // The kernel's limit is 64 with the terminator; kubelet cuts at 63 as well.
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/, "");
}

/** File name in /etc to its content. */
export function podEtc(pod: Pod, facts: EtcFacts): Readonly<Record<string, string>> {
  const hostname = podHostname(pod);
  return {
    hostname: `${hostname}\n`,
    hosts: hosts(pod, hostname, facts.podIP),
    "resolv.conf": resolvConf(pod, facts.dnsAddress),
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    passwd: users(facts.uids, "/root", (name, id, home) => `${name}:x:${id}:${id}:${name}:${home}:/bin/sh`),
    group: users(facts.gids, "", (name, id) => `${name}:x:${id}:`),
  };
}

function hosts(pod: Pod, hostname: string, podIP: string): string {
  const namespace = pod.metadata.namespace ?? "default";
  const full = pod.spec.subdomain === undefined || pod.spec.subdomain === "" ? "" : `${hostname}.${pod.spec.subdomain}.${namespace}.svc.cluster.local\t`;
  const lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", `${podIP}\t${full}${hostname}`];
  for (const alias of pod.spec.hostAliases ?? []) lines.push(`${alias.ip}\t${(alias.hostnames ?? []).join("\t")}`);
  return `${lines.join("\n")}\n`;
}

/** dnsPolicy None takes only what dnsConfig says; every other asks the node's DNS server, which forwards what is not the cluster's. */
function resolvConf(pod: Pod, dnsAddress: string): string {
  const namespace = pod.metadata.namespace ?? "default";
  const { dnsPolicy, dnsConfig } = pod.spec;
  const cluster = dnsPolicy === undefined || dnsPolicy.startsWith("ClusterFirst");
  const servers = [...(dnsPolicy === "None" ? [] : [dnsAddress]), ...(dnsConfig?.nameservers ?? [])];
  const searches = [...(cluster ? [`${namespace}.svc.cluster.local`, "svc.cluster.local", "cluster.local"] : []), ...(dnsConfig?.searches ?? [])];
  const options = new Map<string, string | undefined>(cluster ? [["ndots", "5"]] : []);
  for (const { name, value } of dnsConfig?.options ?? []) if (name !== undefined) options.set(name, value);
  const lines = servers.map((server) => `nameserver ${server}`);
  if (searches.length > 0) lines.push(`search ${searches.join(" ")}`);
  if (options.size > 0) lines.push(`options ${[...options].map(([name, value]) => (value === undefined ? name : `${name}:${value}`)).join(" ")}`);
  return `${lines.join("\n")}\n`;
}

function users(ids: readonly number[], rootHome: string, line: (name: string, id: number, home: string) => string): string {
  const names = new Map<number, string>([
    [0, "root"],
    [65534, "nobody"],
  ]);
  for (const id of ids) if (!names.has(id)) names.set(id, `user${id}`);
  return `${[...names].map(([id, name]) => line(name, id, id === 0 ? rootHome : "/")).join("\n")}\n`;
}
