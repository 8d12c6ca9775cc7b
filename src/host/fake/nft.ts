/**
 * Host.Nft in memory: it keeps tables as objects and understands exactly what wire/nft writes, whole tables and changes
 * of them. What a kernel would refuse it refuses too: unknown chains, sets and maps, and elements that exist twice.
 */
import { HostError } from "#host/host-error.ts";
import type { Nft } from "#host/nft.ts";
import type { Chain, MapElement, NamedMap, NamedSet, SetElement, Table } from "#lib/nft-ruleset.ts";
import { parseElementList, parseRuleText, parseTables } from "#wire/nft/parse.ts";
import { writeMapElement, writeTable } from "#wire/nft/write.ts";

interface Draft {
  family: Table["family"];
  name: string;
  sets: Map<string, NamedSet>;
  maps: Map<string, NamedMap>;
  chains: Map<string, Chain>;
}

export class FakeNft implements Nft {
  readonly #namespaces = new Map<string, Map<string, Table>>();

  async apply(ruleset: string, netns = ""): Promise<void> {
    const drafts = new Map([...(this.#namespaces.get(netns) ?? new Map<string, Table>())].map(([key, table]) => [key, draftOf(table)]));
    for (const command of commandsOf(ruleset)) run(drafts, command);
    const tables = new Map([...drafts].map(([key, draft]) => [key, tableOf(draft)]));
    for (const table of tables.values()) check(table);
    this.#namespaces.set(netns, tables);
  }

  async list(netns = ""): Promise<string> {
    return this.tables(netns).map(writeTable).join("");
  }

  async elements({ family, table, name }: { family: string; table: string; name: string }, netns = ""): Promise<string> {
    const map = this.tables(netns)
      .find((each) => each.family === family && each.name === table)
      ?.maps.find((each) => each.name === name);
    return (map?.elements ?? []).map(writeMapElement).join(", ");
  }

  tables(netns = ""): readonly Table[] {
    return [...(this.#namespaces.get(netns)?.values() ?? [])];
  }
}

/** A command a line, but for a table's block. */
function commandsOf(ruleset: string): string[] {
  const commands: string[] = [];
  let block: string[] | undefined;
  for (const line of ruleset.split("\n")) {
    if (block !== undefined) {
      block.push(line);
      if (line === "}") {
        commands.push(block.join("\n"));
        block = undefined;
      }
    } else if (/^table \S+ \S+ \{$/.test(line)) block = [line];
    else if (line.trim() !== "") commands.push(line);
  }
  return commands;
}

function run(tables: Map<string, Draft>, command: string): void {
  if (command.startsWith("table ") && command.includes("{")) return merge(tables, command);
  const [verb = "", kind = "", family = "", name = "", object = "", ...rest] = verbatim(command);
  const key = `${family} ${name}`;
  if (verb === "table") {
    const added = `${kind} ${family}`;
    if (!tables.has(added)) tables.set(added, { family: kind as Table["family"], name: family, sets: new Map(), maps: new Map(), chains: new Map() });
    return;
  }
  if (verb === "delete" && kind === "table") return void (tables.delete(key) || refuse(command, "there is no such table"));
  const table = tables.get(key) ?? refuse(command, "there is no such table");
  const text = rest.join(" ");
  switch (`${verb} ${kind}`) {
    case "add chain":
      return void table.chains.set(
        object,
        parseTables(`table ip t { chain ${object} ${text === "" ? "{ }" : text} }`)[0]?.chains[0] ?? { name: object, rules: [] },
      );
    case "flush chain":
      return void table.chains.set(object, { ...chainOf(table, object, command), rules: [] });
    case "add rule": {
      const chain = chainOf(table, object, command);
      return void table.chains.set(object, { ...chain, rules: [...chain.rules, parseRuleText(text)] });
    }
    case "add element":
      return changeElements(table, object, text, (old, elements) => [...old, ...elements]);
    case "delete element":
      return changeElements(table, object, text, (old, elements) => {
        const gone = new Set(elements.map(keyOf));
        if (!elements.every((element) => old.some((each) => keyOf(each) === keyOf(element)))) refuse(command, "there is no such element");
        return old.filter((element) => !gone.has(keyOf(element)));
      });
    case "delete chain":
      return void (table.chains.delete(object) || refuse(command, "there is no such chain"));
    case "delete set":
      return void (table.sets.delete(object) || refuse(command, "there is no such set"));
    case "delete map":
      return void (table.maps.delete(object) || refuse(command, "there is no such map"));
    default:
      refuse(command, "not a command that Weft writes");
  }
}

/** Words of a command; the object's text keeps its blanks by being joined again. */
function verbatim(command: string): string[] {
  return command.split(" ");
}

function merge(tables: Map<string, Draft>, block: string): void {
  for (const table of parseTables(block)) {
    const key = `${table.family} ${table.name}`;
    const draft = tables.get(key) ?? draftOf({ ...table, sets: [], maps: [], chains: [] });
    for (const set of table.sets) draft.sets.set(set.name, set);
    for (const map of table.maps) draft.maps.set(map.name, map);
    for (const chain of table.chains) draft.chains.set(chain.name, chain);
    tables.set(key, draft);
  }
}

function changeElements(
  table: Draft,
  name: string,
  text: string,
  change: <E extends SetElement>(old: readonly E[], elements: readonly E[]) => readonly E[],
): void {
  const set = table.sets.get(name);
  const map = table.maps.get(name);
  if (set !== undefined) table.sets.set(name, { ...set, elements: change(set.elements, parseElementList(text, undefined) as SetElement[]) });
  else if (map !== undefined) table.maps.set(name, { ...map, elements: change<MapElement>(map.elements, parseElementList(text, map.data) as MapElement[]) });
  else refuse(text, `there is no set or map ${name}`);
}

function chainOf(table: Draft, name: string, command: string): Chain {
  return table.chains.get(name) ?? refuse(command, "there is no such chain");
}

function keyOf(element: SetElement): string {
  return element.key.join(" . ");
}

/** Everything that is pointed at exists, and no element twice. */
function check(table: Table): void {
  const chains = new Set(table.chains.map(({ name }) => name));
  const sets = new Set(table.sets.map(({ name }) => name));
  const maps = new Set(table.maps.map(({ name }) => name));
  for (const { name, elements } of [...table.sets, ...table.maps]) {
    if (new Set(elements.map(keyOf)).size !== elements.length) refuse(name, "an element exists twice");
  }
  const verdicts = [
    ...table.maps.flatMap((map) => map.elements.flatMap(({ value }) => ("kind" in value ? [value] : []))),
    ...table.chains.flatMap(({ rules }) => rules.flatMap(({ statements }) => statements)),
  ];
  for (const verdict of verdicts) {
    if ("chain" in verdict && !chains.has(verdict.chain)) refuse(table.name, `there is no chain ${verdict.chain}`);
    if ("map" in verdict && !maps.has(verdict.map)) refuse(table.name, `there is no map ${verdict.map}`);
  }
  for (const match of table.chains.flatMap(({ rules }) => rules.flatMap(({ matches }) => matches))) {
    if (match.kind === "set" && !sets.has(match.set)) refuse(table.name, `there is no set ${match.set}`);
  }
}

function refuse(subject: string, message: string): never {
  throw new HostError("ERR_NFT", `nft ${subject.slice(0, 200)}`, message);
}

function draftOf(table: Table): Draft {
  const byName = <T extends { readonly name: string }>(list: readonly T[]) => new Map(list.map((each) => [each.name, each]));
  return { family: table.family, name: table.name, sets: byName(table.sets), maps: byName(table.maps), chains: byName(table.chains) };
}

function tableOf(draft: Draft): Table {
  return { family: draft.family, name: draft.name, sets: [...draft.sets.values()], maps: [...draft.maps.values()], chains: [...draft.chains.values()] };
}
