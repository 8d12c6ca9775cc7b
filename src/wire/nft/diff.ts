/**
 * The shortest transaction that turns one table into another: elements are added and deleted one by one, a chain that
 * changed is filled anew. Order matters to the kernel: what is pointed at must exist before, and goes after, what points.
 */
import type { Chain, MapElement, NamedMap, NamedSet, Table } from "#lib/nft-ruleset.ts";
import { baseText, keyText, writeChain, writeMap, writeMapElement, writeRemoval, writeReplacement, writeRule, writeSet, writeSetElement } from "./write.ts";

/** Text for `nft -f -`; empty when nothing changes. `before` undefined: nothing is known, so the table is replaced. */
export function diffTable(before: Table | undefined, after: Table | undefined): string {
  if (after === undefined) return before === undefined ? "" : writeRemoval(before);
  if (before === undefined || !sameShape(before, after)) return writeReplacement(after);
  const name = `${after.family} ${after.name}`;
  const chains = changes(before.chains, after.chains, writeChain);
  // Whether their elements differ is found out once, by elementLines; their shapes are the same.
  const sets = changes(before.sets, after.sets);
  const maps = changes(before.maps, after.maps);
  const lines: string[] = [];

  // 1. Everything new, empty, so that rules and elements may point at it.
  for (const chain of chains.added) lines.push(`add chain ${name} ${chain.name}${chain.base === undefined ? "" : ` { ${baseText(chain).trim()} }`}`);
  const newSets = sets.added.map((set) => writeSet(set)).join("");
  const newMaps = maps.added.map((map) => writeMap({ ...map, elements: [] })).join("");
  if (newSets !== "" || newMaps !== "") lines.push(`table ${name} {\n${newSets}${newMaps}}`);

  // 2. Rules let go of what they pointed at.
  for (const { to } of chains.changed) lines.push(`flush chain ${name} ${to.name}`);
  for (const chain of chains.removed) lines.push(`flush chain ${name} ${chain.name}`);

  // 3. Elements.
  for (const { from, to } of sets.changed) lines.push(...elementLines(name, from, to, writeSetElement));
  for (const map of maps.added) lines.push(...elementLines(name, { ...map, elements: [] }, map, writeMapElement));
  for (const { from, to } of maps.changed) lines.push(...elementLines(name, from, to, writeMapElement));

  // 4. Rules of new and changed chains.
  for (const chain of [...chains.added, ...chains.changed.map(({ to }) => to)]) {
    for (const rule of chain.rules) lines.push(`add rule ${name} ${chain.name} ${writeRule(rule)}`);
  }

  // 5. What nothing points at any more.
  for (const map of maps.removed) lines.push(`delete map ${name} ${map.name}`);
  for (const chain of chains.removed) lines.push(`delete chain ${name} ${chain.name}`);
  for (const set of sets.removed) lines.push(`delete set ${name} ${set.name}`);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** What cannot be changed in place is the same: types of sets and maps, and where base chains stand. */
function sameShape(before: Table, after: Table): boolean {
  const shapes = new Map<string, string>();
  const shape = (table: Table): [string, string][] => [
    ...table.sets.map((set): [string, string] => [`set ${set.name}`, writeSet({ ...set, elements: [] })]),
    ...table.maps.map((map): [string, string] => [`map ${map.name}`, writeMap({ ...map, elements: [] })]),
    ...table.chains.map((chain): [string, string] => [`chain ${chain.name}`, baseText(chain)]),
  ];
  for (const [key, text] of shape(before)) shapes.set(key, text);
  return shape(after).every(([key, text]) => (shapes.get(key) ?? text) === text);
}

interface Changes<T> {
  readonly added: T[];
  readonly removed: T[];
  readonly changed: { from: T; to: T }[];
}

function changes<T extends Chain | NamedSet | NamedMap>(before: readonly T[], after: readonly T[], text?: (value: T) => string): Changes<T> {
  const old = new Map(before.map((value) => [value.name, value]));
  const added: T[] = [];
  const changed: { from: T; to: T }[] = [];
  for (const value of after) {
    const from = old.get(value.name);
    old.delete(value.name);
    if (from === undefined) added.push(value);
    else if (from !== value && (text === undefined || text(from) !== text(value))) changed.push({ from, to: value });
  }
  return { added, changed, removed: [...old.values()] };
}

function elementLines<T extends { readonly name: string; readonly elements: readonly E[] }, E extends MapElement | { key: readonly string[] }>(
  table: string,
  from: T,
  to: T,
  text: (element: E) => string,
): string[] {
  // Compilers keep what did not change and its order, so nearly all elements are the same objects: only the rest is looked at.
  const [before, after] = withoutCommonEnds(from.elements, to.elements);
  const [kept, wanted] = [new Set(before), new Set(after)];
  const old = new Map(before.filter((element) => !wanted.has(element)).map((element) => [text(element), element]));
  const added: string[] = [];
  for (const element of after) {
    if (kept.has(element)) continue;
    const written = text(element);
    if (!old.delete(written)) added.push(written);
  }
  const lines = [];
  if (old.size > 0) lines.push(`delete element ${table} ${to.name} { ${[...old.values()].map((element) => keyText(element.key)).join(", ")} }`);
  if (added.length > 0) lines.push(`add element ${table} ${to.name} { ${added.join(", ")} }`);
  return lines;
}

/** What is left of two lists when they begin and end with the same objects. */
function withoutCommonEnds<E>(a: readonly E[], b: readonly E[]): readonly [readonly E[], readonly E[]] {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return [a.slice(start, a.length - end), b.slice(start, b.length - end)];
}
