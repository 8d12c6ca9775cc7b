/**
 * Walks a packet that does not exist through nftables objects, as the kernel would: base chains of a hook by priority,
 * rules in order, verdict maps, jumps. Where a rule draws a random number, every number is followed, each with its share.
 * It is always the first packet of a connection. What it cannot tell for sure it refuses: a wrong answer is worse than none.
 */
import { contains, parseCidr, parseIp } from "#lib/ip.ts";
import {
  markText,
  type Chain,
  type Draw,
  type Field,
  type Hook,
  type MapElement,
  type Match,
  type NamedMap,
  type Rule,
  type Statement,
  type Table,
  type Verdict,
} from "#lib/nft-ruleset.ts";

export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  readonly mark: number;
  /** Of the connection, in this namespace. */
  readonly connectionMark?: number;
  /** Its destination was rewritten in this namespace. */
  readonly translated?: true;
  /** Of the process whose socket sends it; known where it leaves its host only. */
  readonly uid?: number;
  /** Links by which it came and will go, where that is known at the hook. */
  readonly in?: string;
  readonly out?: string;
  readonly sourceMac?: string;
}

/** What decided something on the way, in the words of its comment. */
export interface Trace {
  readonly table: string;
  readonly chain: string;
  readonly comment: string | undefined;
  readonly effect: "accept" | "drop" | "reject" | "dnat" | "redirect" | "masquerade" | "map" | "log" | "mark" | "learn";
  /** Of log. */
  readonly prefix?: string;
  /** Of dnat and mark: one of how many. */
  readonly count?: number;
  /** Of learn. */
  readonly seconds?: number;
}

export interface Passage {
  readonly packet: Packet;
  readonly share: number;
  readonly verdict: "accept" | "drop" | "reject";
  readonly trace: readonly Trace[];
  /** Port of the packet's own host that it was redirected to. */
  readonly redirectedTo?: number;
  readonly masqueraded?: boolean;
}

/** All ways through one hook. Shares add up to what `passage` had. */
export function passHook(tables: readonly Table[], hook: Hook, passage: Passage): Passage[] {
  const family = parseIp(passage.packet.destination)?.family === 6 ? "ip" : "ip6";
  const chains = tables
    .filter((table) => table.family !== family)
    .flatMap((table) => table.chains.map((chain) => ({ table, chain })))
    .filter(({ chain }) => chain.base?.hook === hook)
    .sort((a, b) => (a.chain.base?.priority ?? 0) - (b.chain.base?.priority ?? 0));
  let ways = [passage];
  for (const { table, chain } of chains) {
    ways = ways.flatMap((way) => (way.verdict === "accept" ? runChain(table, chain, way).map((end) => concluded(end, chain)) : [way]));
  }
  return ways;
}

/** A way through a chain, and whether something ended it there. */
interface Way {
  readonly passage: Passage;
  readonly ended: boolean;
}

function concluded({ passage, ended }: Way, chain: Chain): Passage {
  return ended || chain.base?.policy !== "drop" ? passage : { ...passage, verdict: "drop" };
}

/** `reason`: of the rule that led here, for rules that give none themselves. */
function runChain(table: Table, chain: Chain, start: Passage, reason?: string): Way[] {
  let ways: Way[] = [{ passage: start, ended: false }];
  const returned: Way[] = [];
  for (const rule of chain.rules) {
    ways = ways.flatMap((way) => {
      if (way.ended || !rule.matches.every((match) => matches(table, match, way.passage.packet))) return [way];
      return runRule({ table, chain, comment: rule.comment ?? reason }, rule, way.passage).flatMap((outcome) => {
        if (outcome.returns !== true) return [outcome];
        returned.push(outcome);
        return [];
      });
    });
  }
  return [...ways, ...returned.map(({ passage }) => ({ passage, ended: false }))];
}

/** `breaks`: the rule ends here, as if it had not matched, and the next one follows. */
type Outcome = Way & { readonly returns?: true; readonly breaks?: true };

function runRule(place: Place, rule: Rule, start: Passage): Outcome[] {
  let outcomes: Outcome[] = [{ passage: start, ended: false }];
  for (const statement of rule.statements) {
    outcomes = outcomes.flatMap((outcome) =>
      outcome.ended || outcome.returns === true || outcome.breaks === true ? [outcome] : runStatement(place, statement, outcome.passage),
    );
  }
  return outcomes.map(({ breaks: _, ...outcome }) => outcome);
}

interface Place {
  readonly table: Table;
  readonly chain: Chain;
  readonly comment: string | undefined;
}

function runStatement(place: Place, statement: Statement, passage: Passage): Outcome[] {
  switch (statement.kind) {
    case "log":
      return [{ passage: traced(passage, place, "log", { prefix: statement.prefix }), ended: false }];
    case "reject":
      return [{ passage: { ...traced(passage, place, "reject"), verdict: "reject" }, ended: true }];
    case "masquerade":
      return [{ passage: { ...traced(passage, place, "masquerade"), masqueraded: true }, ended: true }];
    case "redirect":
      return [{ passage: { ...traced(passage, place, "redirect"), redirectedTo: statement.port }, ended: true }];
    case "dnat":
      return draw(place, statement, passage, (value, next, comment) => {
        if (!Array.isArray(value)) throw new Error(`map ${statement.map} holds verdicts, but a rule takes endpoints from it`);
        const [destination = "", port = ""] = value as readonly string[];
        const to = traced(next, { ...place, comment }, "dnat", countOf(statement));
        return { passage: { ...to, packet: { ...to.packet, destination, port: Number(port), translated: true } }, ended: true };
      });
    case "mark":
      return draw(place, statement, passage, (value, next, comment) => {
        if (!Array.isArray(value)) throw new Error(`map ${statement.map} holds verdicts, but a rule takes marks from it`);
        const to = traced(next, { ...place, comment }, "mark", countOf(statement));
        return { passage: { ...to, packet: { ...to.packet, connectionMark: Number((value as readonly string[])[0]) } }, ended: false };
      });
    case "learn":
      return [{ passage: traced(passage, place, "learn", { seconds: statement.seconds }), ended: false }];
    // What packets teach a map is not in a plan: an imagined client is never known yet.
    case "unlearn":
      return [{ passage, ended: false }];
    case "vmap": {
      const map = mapOf(place.table, statement.map);
      const element = find(map, keyOf(statement.fields, passage.packet));
      if (element === undefined) return [{ passage, ended: false }];
      if (!("kind" in element.value)) throw new Error(`map ${map.name} holds endpoints, but a rule takes verdicts from it`);
      return runVerdict({ ...place, comment: element.comment }, element.value, traced(passage, { ...place, comment: element.comment }, "map"));
    }
    case "accept":
    case "drop":
    case "return":
    case "jump":
    case "goto":
      return runVerdict(place, statement, passage);
  }
}

function runVerdict(place: Place, verdict: Verdict, passage: Passage): Outcome[] {
  switch (verdict.kind) {
    case "accept":
      return [{ passage: traced(passage, place, "accept"), ended: true }];
    case "drop":
      return [{ passage: { ...traced(passage, place, "drop"), verdict: "drop" }, ended: true }];
    case "return":
      return [{ passage, ended: false, returns: true }];
    case "jump":
      return runChain(place.table, chainOf(place.table, verdict.chain), passage, place.comment);
    case "goto":
      // What falls off its end does not come back here.
      return runChain(place.table, chainOf(place.table, verdict.chain), passage, place.comment).map((way) => (way.ended ? way : { ...way, returns: true }));
  }
}

/** `found`: of each number that may be drawn, with its share. */
function draw(
  place: Place,
  { fields, modulo, offset = 0, map: name }: Draw,
  passage: Passage,
  found: (value: MapElement["value"], next: Passage, comment: string | undefined) => Outcome,
): Outcome[] {
  const map = mapOf(place.table, name);
  const key = keyOf(fields, passage.packet);
  const keys = modulo === undefined ? [key] : Array.from({ length: modulo }, (_, i) => [...key, String(offset + i)]);
  return keys.map((each): Outcome => {
    const element = find(map, each);
    const next = { ...passage, share: passage.share / keys.length };
    // Without an element the rule does not match.
    return element === undefined ? { passage: next, ended: false, breaks: true } : found(element.value, next, element.comment);
  });
}

function countOf({ modulo }: Draw): Pick<Trace, "count"> {
  return modulo === undefined ? {} : { count: modulo };
}

function traced(passage: Passage, { table, chain, comment }: Place, effect: Trace["effect"], more: Pick<Trace, "prefix" | "count" | "seconds"> = {}): Passage {
  return { ...passage, trace: [...passage.trace, { table: table.name, chain: chain.name, comment, effect, ...more }] };
}

function matches(table: Table, match: Match, packet: Packet): boolean {
  if (match.kind === "value") {
    const value = fieldOf(match.field, packet);
    return match.values.some((wanted) => valueMatches(match.field, wanted, value)) !== match.not;
  }
  const set = table.sets.find(({ name }) => name === match.set);
  if (set === undefined) throw new Error(`table ${table.name} has no set ${match.set}`);
  const key = match.fields.map((field) => fieldOf(field, packet));
  const found = set.elements.some((element) => element.key.every((part, i) => valueMatches(match.fields[i] ?? "ip saddr", part, key[i] ?? "")));
  return found !== match.not;
}

function fieldOf(field: Field, packet: Packet): string {
  switch (field) {
    case "ip saddr":
    case "ip6 saddr":
      return packet.source;
    case "ip daddr":
    case "ip6 daddr":
      return packet.destination;
    case "ether saddr":
      return packet.sourceMac ?? "";
    case "meta l4proto":
      return packet.protocol;
    case "th dport":
      return String(packet.port);
    case "iifname":
      return packet.in ?? "";
    case "oifname":
      return packet.out ?? "";
    case "meta mark":
      return String(packet.mark);
    case "meta skuid":
      return packet.uid === undefined ? "" : String(packet.uid);
    // Only packets that begin a connection are imagined.
    case "ct state":
      return "new";
    case "ct direction":
      return "original";
    case "ct status":
      return packet.translated === true ? "dnat" : "";
    case "ct mark":
      return markText(packet.connectionMark ?? 0);
  }
}

function valueMatches(field: Field, wanted: string, value: string): boolean {
  if (field === "ip saddr" || field === "ip daddr" || field === "ip6 saddr" || field === "ip6 daddr") {
    const [range, address] = [parseCidr(wanted), parseIp(value)];
    return range !== undefined && address !== undefined && contains(range, address);
  }
  if (field === "th dport") {
    const [from = 0, to = from] = wanted.split("-").map(Number);
    return Number(value) >= from && Number(value) <= to;
  }
  if (field === "meta mark" || field === "ct mark") return Number(wanted) === Number(value);
  if ((field === "iifname" || field === "oifname") && wanted.endsWith("*")) return value.startsWith(wanted.slice(0, -1));
  return wanted === value;
}

function keyOf(fields: readonly Field[], packet: Packet): string[] {
  return fields.map((field) => fieldOf(field, packet));
}

function find(map: NamedMap, key: readonly string[]): MapElement | undefined {
  return map.elements.find((element) => element.key.length === key.length && element.key.every((part, i) => part === key[i]));
}

function mapOf(table: Table, name: string): NamedMap {
  const map = table.maps.find((each) => each.name === name);
  if (map === undefined) throw new Error(`table ${table.name} has no map ${name}`);
  return map;
}

function chainOf(table: Table, name: string): Chain {
  const chain = table.chains.find((each) => each.name === name);
  if (chain === undefined) throw new Error(`table ${table.name} has no chain ${name}`);
  return chain;
}
