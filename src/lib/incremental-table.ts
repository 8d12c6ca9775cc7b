/** The inputs of the incremental engine: tables by key and their indexes, and what makes anything readable. */

/** What depends on a source. */
export interface Reader {
  markStale(): void;
}

export interface Revisions {
  revision(): number;
  /** The next revision: an input is about to change. */
  advance(): number;
}

/** Anything that can be read: a cell of a table, a group, a whole table, a derived value. */
export abstract class Source {
  readonly readers = new Set<Reader>();
  changedAt = 0;
  /** Whether its value, brought up to date, is the one of that revision. */
  isCurrent(revision: number): boolean {
    return this.changedAt <= revision;
  }
  /** The last reader went. */
  onUnread(): void {}

  markReaders(): void {
    for (const reader of this.readers) reader.markStale();
  }
}

/** A part of a table. `forget` lets the table drop it when it is neither read nor filled. */
class Cell extends Source {
  readonly #forget: () => void;
  constructor(forget: () => void) {
    super();
    this.#forget = forget;
  }
  changed(revision: number): void {
    this.changedAt = revision;
    this.markReaders();
  }
  override onUnread(): void {
    this.#forget();
  }
}

export class Table<V> {
  readonly name: string;
  readonly #core: Revisions;
  readonly #equals: (a: V, b: V) => boolean;
  readonly #values = new Map<string, V>();
  /** Only of keys that are read. */
  readonly #cells = new Map<string, Cell>();
  readonly #whole = new Cell(() => {});
  readonly #indexes: Index<V>[] = [];
  #sorted: readonly V[] | undefined;

  constructor(core: Revisions, name: string, equals: (a: V, b: V) => boolean) {
    this.#core = core;
    this.name = name;
    this.#equals = equals;
  }

  /** Groups of this table's values. A value may be in several groups or in none. */
  index(groupsOf: (value: V, key: string) => string | readonly string[] | undefined): Index<V> {
    const index = new Index<V>(this, (value, key) => {
      const groups = groupsOf(value, key);
      return groups === undefined ? [] : typeof groups === "string" ? [groups] : groups;
    });
    for (const [key, value] of this.#values) index.moved(key, undefined, value, this.#core.revision());
    this.#indexes.push(index);
    return index;
  }

  /** Answers whether anything changed. */
  set(key: string, value: V): boolean {
    const old = this.#values.get(key);
    if (old !== undefined && this.#equals(old, value)) return false;
    this.#changed(key, old, value);
    return true;
  }

  delete(key: string): boolean {
    const old = this.#values.get(key);
    if (old === undefined) return false;
    this.#changed(key, old, undefined);
    return true;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** All values, sorted by key. */
  values(): readonly V[] {
    this.#sorted ??= inKeyOrder(this.#values.keys(), this.#values);
    return this.#sorted;
  }

  /** For the engine: what a reader of this key depends on. */
  cellOf(key: string): Source {
    let cell = this.#cells.get(key);
    if (cell === undefined) this.#cells.set(key, (cell = new Cell(() => this.#cells.delete(key))));
    return cell;
  }

  /** For the engine: what a reader of the whole table depends on. */
  whole(): Source {
    return this.#whole;
  }

  /** For indexes. */
  valuesOf(keys: Iterable<string>): readonly V[] {
    return inKeyOrder(keys, this.#values);
  }

  #changed(key: string, old: V | undefined, value: V | undefined): void {
    const revision = this.#core.advance();
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    this.#sorted = undefined;
    for (const index of this.#indexes) index.moved(key, old, value, revision);
    this.#cells.get(key)?.changed(revision);
    this.#whole.changed(revision);
  }
}

/** Values of a table by group. */
export class Index<V> {
  readonly #table: Table<V>;
  readonly #groupsOf: (value: V, key: string) => readonly string[];
  readonly #groups = new Map<string, { readonly keys: Set<string>; readonly cell: Cell; sorted: readonly V[] | undefined }>();

  constructor(table: Table<V>, groupsOf: (value: V, key: string) => readonly string[]) {
    this.#table = table;
    this.#groupsOf = groupsOf;
  }

  get(group: string): readonly V[] {
    const found = this.#groups.get(group);
    if (found === undefined) return [];
    found.sorted ??= this.#table.valuesOf(found.keys);
    return found.sorted;
  }

  /** For the engine. */
  cellOf(group: string): Source {
    return this.#group(group).cell;
  }

  /** For the table. */
  moved(key: string, old: V | undefined, value: V | undefined, revision: number): void {
    const before = old === undefined ? [] : this.#groupsOf(old, key);
    const after = value === undefined ? [] : this.#groupsOf(value, key);
    for (const group of before) this.#group(group).keys.delete(key);
    for (const group of after) this.#group(group).keys.add(key);
    for (const group of new Set([...before, ...after])) {
      const entry = this.#group(group);
      entry.sorted = undefined;
      entry.cell.changed(revision);
      this.#forgetIfEmpty(group);
    }
  }

  #group(group: string) {
    let entry = this.#groups.get(group);
    if (entry === undefined) {
      entry = { keys: new Set<string>(), cell: new Cell(() => this.#forgetIfEmpty(group)), sorted: undefined };
      this.#groups.set(group, entry);
    }
    return entry;
  }

  #forgetIfEmpty(group: string): void {
    const entry = this.#groups.get(group);
    if (entry !== undefined && entry.keys.size === 0 && entry.cell.readers.size === 0) this.#groups.delete(group);
  }
}

function inKeyOrder<V>(keys: Iterable<string>, values: ReadonlyMap<string, V>): readonly V[] {
  const sorted = [...keys].sort();
  return sorted.flatMap((key) => {
    const value = values.get(key);
    return value === undefined ? [] : [value];
  });
}
