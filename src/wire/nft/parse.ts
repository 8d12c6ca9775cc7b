/**
 * Reads what write.ts writes. It is not a parser of nft's language: what Weft never emits is an error here, so that
 * nothing can be walked or compared by half.
 */
import { FIELDS, HOOKS } from "#lib/nft-ruleset.ts";
import type { BaseChain, Chain, Draw, Field, MapElement, Match, NamedMap, NamedSet, Rule, SetElement, Statement, Table, Verdict } from "#lib/nft-ruleset.ts";
import { NftSyntaxError, Tokens } from "./tokens.ts";
import { dataType, NUMBER_KEY } from "./write.ts";

/** Tables in the order of the text. */
export function parseTables(text: string): Table[] {
  const tokens = new Tokens(text);
  const tables: Table[] = [];
  while (!tokens.done) tables.push(parseTable(tokens));
  return tables;
}

/** One rule as `add rule` has it. */
export function parseRuleText(text: string): Rule {
  return parseRule(new Tokens(text));
}

/** "{ a, b }" as `add element` and `delete element` have it; deleted elements of a map come without their value. */
export function parseElementList(text: string, data: NamedMap["data"] | undefined): (SetElement | MapElement)[] {
  const tokens = new Tokens(text);
  const elements: (SetElement | MapElement)[] = [];
  tokens.expect("{");
  do {
    const element = parseSetElement(tokens);
    elements.push(data !== undefined && tokens.take(":") ? { ...element, value: data === "verdict" ? parseVerdict(tokens) : parseKey(tokens) } : element);
  } while (tokens.take(","));
  tokens.expect("}");
  return elements;
}

function parseTable(tokens: Tokens): Table {
  tokens.expect("table");
  const family = tokens.oneOf(["ip", "ip6", "inet"] as const, "a family");
  const name = tokens.next();
  const sets: NamedSet[] = [];
  const maps: NamedMap[] = [];
  const chains: Chain[] = [];
  tokens.expect("{");
  while (!tokens.take("}")) {
    if (tokens.take("set")) sets.push(parseSet(tokens));
    else if (tokens.take("map")) maps.push(parseMap(tokens));
    else {
      tokens.expect("chain");
      chains.push(parseChain(tokens));
    }
  }
  return { family, name, sets, maps, chains };
}

function parseSet(tokens: Tokens): NamedSet {
  const name = tokens.next();
  tokens.expect("{ typeof");
  const key = parseFields(tokens);
  const interval = tokens.take("flags interval");
  const elements = parseElements(tokens, () => parseSetElement(tokens));
  tokens.expect("}");
  return { name, key, interval, elements };
}

function parseMap(tokens: Tokens): NamedMap {
  const name = tokens.next();
  tokens.expect("{ typeof");
  const key: Field[] = [parseField(tokens)];
  let numbered = false;
  while (tokens.take(".")) {
    if (tokens.take(NUMBER_KEY)) numbered = true;
    else key.push(parseField(tokens));
  }
  tokens.expect(":");
  const data = (["verdict", "tcp endpoint", "udp endpoint", "mark"] as const).find((each) => tokens.take(dataType({ key, data: each })));
  if (data === undefined) throw new NftSyntaxError(`nft text has "${tokens.next()}" where the data of map ${name} should be`);
  const learns = tokens.take("flags dynamic , timeout size") ? tokens.number() : undefined;
  const elements = parseElements(tokens, (): MapElement => {
    const element = parseSetElement(tokens);
    tokens.expect(":");
    return { ...element, value: data === "verdict" ? parseVerdict(tokens) : parseKey(tokens) };
  });
  tokens.expect("}");
  return { name, key, numbered, data, ...(learns === undefined ? {} : { learns }), elements };
}

function parseElements<T>(tokens: Tokens, element: () => T): T[] {
  const elements: T[] = [];
  if (!tokens.take("elements = {")) return elements;
  while (!tokens.take("}")) {
    elements.push(element());
    if (!tokens.take(",")) {
      tokens.expect("}");
      return elements;
    }
  }
  return elements;
}

function parseSetElement(tokens: Tokens): SetElement {
  const key = parseKey(tokens);
  return tokens.take("comment") ? { key, comment: tokens.next() } : { key };
}

function parseKey(tokens: Tokens): string[] {
  const parts = [tokens.next()];
  while (tokens.take(".")) parts.push(tokens.next());
  return parts;
}

function parseFields(tokens: Tokens): Field[] {
  const fields = [parseField(tokens)];
  while (tokens.take(".")) fields.push(parseField(tokens));
  return fields;
}

function parseField(tokens: Tokens): Field {
  return tokens.oneOf(FIELDS, "a field that Weft emits");
}

function parseChain(tokens: Tokens): Chain {
  const name = tokens.next();
  tokens.expect("{");
  const base = parseBase(tokens);
  const rules: Rule[] = [];
  while (!tokens.take("}")) rules.push(parseRule(tokens));
  return base === undefined ? { name, rules } : { name, base, rules };
}

function parseBase(tokens: Tokens): BaseChain | undefined {
  if (!tokens.take("type")) return undefined;
  const type = tokens.oneOf(["filter", "nat", "route"] as const, "a chain type");
  tokens.expect("hook");
  const hook = tokens.oneOf(HOOKS, "a hook");
  tokens.expect("priority");
  const priority = tokens.number();
  tokens.expect("; policy");
  const policy = tokens.oneOf(["accept", "drop"] as const, "a policy");
  tokens.expect(";");
  return { type, hook, priority, policy };
}

function parseRule(tokens: Tokens): Rule {
  const matches: Match[] = [];
  const statements: Statement[] = [];
  for (let verdict = false; !verdict && !tokens.startsWith("comment");) {
    if (!tokens.startsWith("ct mark set") && FIELDS.some((field) => tokens.startsWith(field))) {
      const fields = parseFields(tokens);
      if (tokens.take("vmap")) {
        statements.push({ kind: "vmap", fields, map: parseReference(tokens) });
        break;
      }
      matches.push(parseMatch(tokens, fields));
    } else {
      const statement = parseStatement(tokens);
      statements.push(statement);
      verdict = !CONTINUING.has(statement.kind);
    }
  }
  return tokens.take("comment") ? { matches, statements, comment: tokens.next() } : { matches, statements };
}

/** Statements after which a rule goes on. */
const CONTINUING: ReadonlySet<Statement["kind"]> = new Set<Statement["kind"]>(["log", "mark", "learn", "unlearn"]);

function parseMatch(tokens: Tokens, fields: readonly Field[]): Match {
  const not = tokens.take("!=");
  if (tokens.take("{")) {
    const values = [tokens.next()];
    while (tokens.take(",")) values.push(tokens.next());
    tokens.expect("}");
    return { kind: "value", field: only(fields), not, values };
  }
  const word = tokens.next();
  return word.startsWith("@") ? { kind: "set", fields, not, set: word.slice(1) } : { kind: "value", field: only(fields), not, values: [word] };
}

function only(fields: readonly Field[]): Field {
  const [field, second] = fields;
  if (field === undefined || second !== undefined)
    throw new NftSyntaxError(`nft text compares the fields ${fields.join(" . ")} with values that are not in a set`);
  return field;
}

function parseReference(tokens: Tokens): string {
  const word = tokens.next();
  if (!word.startsWith("@")) throw new NftSyntaxError(`nft text has "${word}" where @ and a name should be`);
  return word.slice(1);
}

function parseStatement(tokens: Tokens): Statement {
  if (tokens.take("log prefix")) {
    const prefix = tokens.next();
    tokens.expect("group");
    return { kind: "log", prefix, group: tokens.number() };
  }
  if (tokens.take("dnat to")) return { kind: "dnat", ...parseDraw(tokens) };
  if (tokens.take("ct mark set")) return { kind: "mark", ...parseDraw(tokens) };
  if (tokens.take("update")) {
    const map = parseReference(tokens);
    tokens.expect("{");
    const fields = parseFields(tokens);
    tokens.expect("timeout");
    const seconds = Number(tokens.next().replace(/s$/, ""));
    tokens.expect(": ct mark }");
    return { kind: "learn", fields, map, seconds };
  }
  if (tokens.take("delete")) {
    const map = parseReference(tokens);
    tokens.expect("{");
    const fields = parseFields(tokens);
    tokens.expect(": ct mark }");
    return { kind: "unlearn", fields, map };
  }
  if (tokens.take("redirect to")) return { kind: "redirect", port: Number(tokens.next().slice(1)) };
  if (tokens.take("masquerade")) return { kind: "masquerade" };
  if (tokens.take("reject with")) return { kind: "reject", with: tokens.oneOf(["tcp reset", "icmp type port-unreachable"] as const, "a kind of reject") };
  return parseVerdict(tokens);
}

function parseDraw(tokens: Tokens): Draw {
  const fields = [parseField(tokens)];
  let modulo: number | undefined;
  while (tokens.take(".")) {
    if (!tokens.take("numgen random mod")) {
      fields.push(parseField(tokens));
      continue;
    }
    modulo = tokens.number();
    break;
  }
  const offset = tokens.take("offset") ? tokens.number() : undefined;
  tokens.expect("map");
  return { fields, ...(modulo === undefined ? {} : { modulo }), ...(offset === undefined ? {} : { offset }), map: parseReference(tokens) };
}

function parseVerdict(tokens: Tokens): Verdict {
  const kind = tokens.oneOf(["accept", "drop", "return", "jump", "goto"] as const, "a verdict");
  return kind === "jump" || kind === "goto" ? { kind, chain: tokens.next() } : { kind };
}
