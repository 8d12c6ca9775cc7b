/** nftables objects as text for `nft -f -`: one line for each element and rule, so that a difference is easy to read. */
import type { Chain, Draw, Field, MapElement, Match, NamedMap, NamedSet, Rule, SetElement, Statement, Table, Verdict } from "#lib/nft-ruleset.ts";

/** Replaces whatever table of that name exists, in the same transaction; established connections keep their NAT. */
export function writeReplacement(table: Table): string {
  return `${writeRemoval(table)}${writeTable(table)}`;
}

/** Removes the table; no error when it does not exist. */
export function writeRemoval(table: Pick<Table, "family" | "name">): string {
  return `table ${table.family} ${table.name}\ndelete table ${table.family} ${table.name}\n`;
}

export function writeTable(table: Table): string {
  const parts = [...table.sets.map(writeSet), ...table.maps.map(writeMap), ...table.chains.map(writeChain)];
  return `table ${table.family} ${table.name} {\n${parts.join("\n")}}\n`;
}

export function writeSet(set: NamedSet): string {
  const flags = set.interval ? "    flags interval\n" : "";
  return `  set ${set.name} {\n    typeof ${fieldsText(set.key)}\n${flags}${elementsText(set.elements.map(writeSetElement))}  }\n`;
}

export function writeMap(map: NamedMap): string {
  const key = map.numbered ? `${fieldsText(map.key)} . ${NUMBER_KEY}` : fieldsText(map.key);
  const flags = map.learns === undefined ? "" : `    flags dynamic, timeout\n    size ${map.learns}\n`;
  return `  map ${map.name} {\n    typeof ${key} : ${dataType(map)}\n${flags}${elementsText(map.elements.map(writeMapElement))}  }\n`;
}

/**
 * One protocol a map: nft 1.0.6 cannot use a map of the kernel's whose data has `th dport` ("conflicting protocols
 * specified"), and to a rule that uses one with `tcp dport` it adds the condition that the packet is TCP.
 */
export function dataType(map: Pick<NamedMap, "key" | "data">): string {
  if (map.data === "verdict") return "verdict";
  if (map.data === "mark") return "ct mark";
  return `${map.key.includes("ip6 daddr") ? "ip6 daddr" : "ip daddr"} . ${map.data === "udp endpoint" ? "udp" : "tcp"} dport`;
}

/** The index of an endpoint as part of a key: 16 bits, so at most 65536 endpoints a service port. */
export const NUMBER_KEY = "numgen random mod 65536";

export function writeSetElement(element: SetElement): string {
  return `${keyText(element.key)}${commentText(element.comment)}`;
}

export function writeMapElement(element: MapElement): string {
  const value = "kind" in element.value ? writeVerdict(element.value) : element.value.join(" . ");
  return `${keyText(element.key)}${commentText(element.comment)} : ${value}`;
}

export function keyText(key: readonly string[]): string {
  return key.map(valueText).join(" . ");
}

export function writeChain(chain: Chain): string {
  return `  chain ${chain.name} {\n${baseText(chain)}${chain.rules.map((rule) => `    ${writeRule(rule)}\n`).join("")}  }\n`;
}

export function baseText(chain: Chain): string {
  if (chain.base === undefined) return "";
  const { type, hook, priority, policy } = chain.base;
  return `    type ${type} hook ${hook} priority ${priority}; policy ${policy};\n`;
}

export function writeRule(rule: Rule): string {
  return `${[...rule.matches.map(writeMatch), ...rule.statements.map(writeStatement)].join(" ")}${commentText(rule.comment)}`;
}

export function writeMatch(match: Match): string {
  const not = match.not ? "!= " : "";
  if (match.kind === "set") return `${fieldsText(match.fields)} ${not}@${match.set}`;
  const [first = ""] = match.values;
  const values = match.values.length === 1 ? valueText(first) : `{ ${match.values.map(valueText).join(", ")} }`;
  return `${match.field} ${not}${values}`;
}

export function writeVerdict(verdict: Verdict): string {
  return verdict.kind === "jump" || verdict.kind === "goto" ? `${verdict.kind} ${verdict.chain}` : verdict.kind;
}

export function writeStatement(statement: Statement): string {
  switch (statement.kind) {
    case "vmap":
      return `${fieldsText(statement.fields)} vmap @${statement.map}`;
    case "dnat":
      return `dnat to ${drawText(statement)}`;
    case "mark":
      return `ct mark set ${drawText(statement)}`;
    case "learn":
      return `update @${statement.map} { ${fieldsText(statement.fields)} timeout ${statement.seconds}s : ct mark }`;
    case "unlearn":
      return `delete @${statement.map} { ${fieldsText(statement.fields)} : ct mark }`;
    case "redirect":
      return `redirect to :${statement.port}`;
    case "masquerade":
      return "masquerade";
    case "reject":
      return `reject with ${statement.with}`;
    case "log":
      return `log prefix "${statement.prefix}" group ${statement.group}`;
    case "accept":
    case "drop":
    case "return":
    case "jump":
    case "goto":
      return writeVerdict(statement);
  }
}

function drawText({ fields, modulo, offset, map }: Draw): string {
  const number = modulo === undefined ? "" : ` . numgen random mod ${modulo}${offset === undefined ? "" : ` offset ${offset}`}`;
  return `${fieldsText(fields)}${number} map @${map}`;
}

function fieldsText(fields: readonly Field[]): string {
  return fields.join(" . ");
}

/** Only interface names need quotes: they may hold a star. */
function valueText(value: string): string {
  return KEYWORDS.has(value) || /^[0-9a-fx.:/-]+$/i.test(value) ? value : `"${value}"`;
}

const KEYWORDS = new Set([
  "tcp",
  "udp",
  "sctp",
  "icmp",
  "icmpv6",
  "new",
  "established",
  "related",
  "invalid",
  "untracked",
  "dnat",
  "local",
  "broadcast",
  "multicast",
  "unicast",
]);

function commentText(comment: string | undefined): string {
  return comment === undefined ? "" : ` comment "${comment}"`;
}

function elementsText(elements: readonly string[]): string {
  return elements.length === 0 ? "" : `    elements = {\n${elements.map((element) => `      ${element},\n`).join("")}    }\n`;
}
