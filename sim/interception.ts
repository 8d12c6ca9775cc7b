/**
 * What the kernel does with a connection, by the rules that the agent emitted: the nftables objects that are in force in
 * the namespaces of the two pods (host/fake/nft.ts) are walked as they stand. So a simulated pod is intercepted because of
 * its rules, and by nothing else.
 */
import { contains, parseCidr, parseIp } from "#lib/ip.ts";
import type { Chain, Hook, Match, Table } from "#lib/nft-ruleset.ts";
import type { FakeNft } from "#host/fake/nft.ts";
import { isLoopback } from "#host/fake/network.ts";
import type { Attempt, FakeNetwork, Redirect } from "#host/fake/network.ts";
import type { SocketAddress } from "#host/net.ts";

interface Packet {
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly mark: number;
  readonly inLink: string;
  readonly outLink: string;
}

type Fate = "pass" | "drop" | { readonly redirectTo: number };

/** The agents' rules, all of one world. */
export function followRules(nfts: readonly FakeNft[], network: FakeNetwork): Redirect {
  const tablesOf = (netns: string): readonly Table[] => nfts.flatMap((nft) => nft.tables(netns));
  return (attempt: Attempt) => {
    const { from, to, mark } = attempt;
    const isLocal = isLoopback(to.ip) || network.ownerOf(to.ip, from.netns) === from.netns;
    const leaving = walk(tablesOf(from.netns), "output", { source: from.address, destination: to, mark, inLink: "", outLink: isLocal ? "lo" : "eth0" });
    if (leaving === "drop") return "drop";
    if (leaving !== "pass") return { netns: from.netns, to: { ip: "127.0.0.1", port: leaving.redirectTo } };
    const netns = network.ownerOf(to.ip, from.netns);
    if (isLocal || netns === undefined) return undefined;
    // A mark is the sender's namespace's own.
    const arriving = walk(tablesOf(netns), "prerouting", { source: from.address, destination: to, mark: 0, inLink: "eth0", outLink: "" });
    if (arriving === "drop") return "drop";
    return arriving === "pass" ? undefined : { netns, to: { ip: to.ip, port: arriving.redirectTo } };
  };
}

function walk(tables: readonly Table[], hook: Hook, packet: Packet): Fate {
  const chains = tables.flatMap((table) => table.chains.filter((chain) => chain.base?.hook === hook).map((chain) => ({ table, chain })));
  for (const { table, chain } of chains.toSorted((a, b) => (a.chain.base?.priority ?? 0) - (b.chain.base?.priority ?? 0))) {
    const fate = walkChain(table, chain, packet);
    if (fate !== "pass") return fate;
  }
  return "pass";
}

function walkChain(table: Table, chain: Chain, packet: Packet): Fate {
  for (const rule of chain.rules) {
    if (!rule.matches.every((match) => holds(table, match, packet))) continue;
    const last = rule.statements.at(-1);
    if (last === undefined || last.kind === "log") continue;
    if (last.kind === "accept" || last.kind === "return") return "pass";
    if (last.kind === "drop" || last.kind === "reject") return "drop";
    if (last.kind === "redirect") return { redirectTo: last.port };
    throw new Error(`the simulation does not walk rules with "${last.kind}" (table ${table.name}, chain ${chain.name}); teach it to`);
  }
  return chain.base?.policy === "drop" ? "drop" : "pass";
}

function holds(table: Table, match: Match, packet: Packet): boolean {
  if (match.kind === "set") throw new Error(`the simulation does not look up sets (table ${table.name}, set ${match.set}); teach it to`);
  return match.values.some((value) => isValue(match.field, value, packet)) !== match.not;
}

function isValue(field: Extract<Match, { kind: "value" }>["field"], value: string, packet: Packet): boolean {
  switch (field) {
    case "meta l4proto":
      return value === "tcp";
    case "th dport":
      return inRange(value, packet.destination.port);
    case "ip daddr":
      return inCidr(value, packet.destination.ip);
    case "ip saddr":
      return inCidr(value, packet.source.ip);
    case "iifname":
      return value === packet.inLink;
    case "oifname":
      return value === packet.outLink;
    case "meta mark":
      return Number(value) === packet.mark;
    case "ct state":
      return value === "new";
    default:
      return false;
  }
}

function inRange(value: string, port: number): boolean {
  const [first, last = first] = value.split("-").map(Number);
  return first !== undefined && last !== undefined && port >= first && port <= last;
}

function inCidr(value: string, ip: string): boolean {
  const range = parseCidr(value);
  const address = parseIp(ip);
  return range !== undefined && address !== undefined && contains(range, address);
}
