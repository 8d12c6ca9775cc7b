/** The pod's own files of /etc: names, resolver, users. Pure. */
import { podHostname, podResolver, type PodResolver } from "#compile/dns/pod-resolver.ts";
import type { Pod } from "#model/core.ts";

export interface EtcFacts {
  readonly podIP: string;
  readonly dnsAddress: string;
  /** Users that containers run as (securityContext.runAsUser). */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
}

/** File name in /etc to its content. */
export function podEtc(pod: Pod, facts: EtcFacts): Readonly<Record<string, string>> {
  const resolver = podResolver(pod, facts);
  return {
    hostname: `${podHostname(pod)}\n`,
    hosts: hostsText(resolver),
    "resolv.conf": resolvConf(resolver),
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    passwd: users(facts.uids, "/root", (name, id, home) => `${name}:x:${id}:${id}:${name}:${home}:/bin/sh`),
    group: users(facts.gids, "", (name, id) => `${name}:x:${id}:`),
  };
}

function hostsText({ hosts }: PodResolver): string {
  return `${hosts.map(({ ip, names }) => `${ip}\t${names.join("\t")}`).join("\n")}\n`;
}

function resolvConf({ nameservers, searches, options }: PodResolver): string {
  const lines = nameservers.map((server) => `nameserver ${server}`);
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
