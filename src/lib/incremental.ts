/**
 * An engine of keyed derivations that record what they read.
 *
 * Inputs are tables (`set`, `delete` by key) with optional indexes (groups of values, such as "by namespace").
 * A derivation is a function `(read, key) => value`; each (derivation, key) is computed at most once per change of
 * what it read: a value, the absence of a value, a group, a whole table, or another derivation. A change *pushes* only
 * "perhaps stale" to readers; asking for a value *pulls*: dependencies are brought up to date in the order they were
 * read, and if none changed its value nothing is computed (early cutoff). Values are compared by structure, so an
 * equal result keeps the old object, and its identity tells readers that nothing happened.
 *
 * Derivations must be pure. One that throws keeps throwing the same error until something it read changes. Values that
 * nobody reads and nobody holds are dropped by `collect`.
 */
import { structurallyEqual } from "./equal.ts";
import { Source, Table, type Index, type Revisions } from "./incremental-table.ts";

export type { Index, Table };

/** What a derivation may ask; every question is recorded. Lists are sorted by key. */
export interface Read {
  get<V>(table: Table<V>, key: string): V | undefined;
  all<V>(table: Table<V>): readonly V[];
  group<V>(index: Index<V>, key: string): readonly V[];
  derived<V>(derivation: Derivation<V>, key: string): V;
}

export interface Derivation<V> {
  readonly name: string;
  compute(read: Read, key: string): V;
  equals(a: V, b: V): boolean;
}

/** A value that is wanted: it is never collected until released. */
export interface Held<V> {
  readonly key: string;
  /** Brought up to date. */
  get(): V;
  /** The engine's revision at which the value last became different. Up to date after `get`. */
  readonly changedAt: number;
  release(): void;
}

export interface EqualsOption<V> {
  /** Default: by structure. */
  readonly equals?: (a: V, b: V) => boolean;
}

/** Two values that need each other. The path names every step, so that the reader can break it. */
export class CycleError extends Error {
  override readonly name = "CycleError";
  readonly path: readonly string[];
  constructor(path: readonly string[]) {
    super(`derivations form a cycle: ${path.join(" -> ")}`);
    this.path = path;
  }
}

export class Incremental {
  /** Grows by one with every change of an input. */
  revision = 1;
  readonly #derivations = new Map<Derivation<unknown>, Map<string, Derived>>();
  readonly #names = new Set<string>();
  readonly #core: Core;

  constructor() {
    this.#core = {
      revision: () => this.revision,
      advance: () => {
        const running = this.#core.running.at(-1);
        if (running !== undefined) throw new Error(`an input was changed while ${running.label} was being derived`);
        return ++this.revision;
      },
      running: [],
      unread: new Set(),
      staleHeld: new Set(),
      recomputed: new Map(),
      derived: (derivation, key) => this.#derived(derivation, key),
    };
  }

  table<V>(name: string, options: EqualsOption<V> = {}): Table<V> {
    this.#claim(name);
    return new Table(this.#core, name, options.equals ?? structurallyEqual);
  }

  derive<V>(name: string, compute: (read: Read, key: string) => V, options: EqualsOption<V> = {}): Derivation<V> {
    this.#claim(name);
    this.#core.recomputed.set(name, 0);
    return { name, compute, equals: options.equals ?? structurallyEqual };
  }

  /** The value now. It stays cached until `collect` unless something reads or holds it. */
  get<V>(derivation: Derivation<V>, key: string): V {
    const node = this.#derived(derivation as Derivation<unknown>, key);
    if (!node.isWanted()) this.#core.unread.add(node);
    return node.value() as V;
  }

  hold<V>(derivation: Derivation<V>, key: string): Held<V> {
    const node = this.#derived(derivation as Derivation<unknown>, key);
    node.hold();
    let held = true;
    return {
      key,
      get: () => node.value() as V,
      get changedAt() {
        return node.changedAt;
      },
      release: () => {
        if (held) node.release();
        held = false;
      },
    };
  }

  /** For callers outside any derivation: the same questions, not recorded. */
  untracked(): Read {
    return {
      get: (table, key) => table.get(key),
      all: (table) => table.values(),
      group: (index, key) => index.get(key),
      derived: (derivation, key) => this.get(derivation, key),
    };
  }

  /** Keys of held values of this derivation that may have changed since they were last read. */
  staleHeld<V>(derivation: Derivation<V>): string[] {
    const keys = [];
    for (const node of this.#core.staleHeld) if (node.derivation === derivation) keys.push(node.key);
    return keys.sort();
  }

  /** Drops what nobody reads and nobody holds, and what only that read. Answers how many were dropped. */
  collect(): number {
    let dropped = 0;
    for (const node of this.#core.unread) {
      this.#core.unread.delete(node);
      if (node.isWanted()) continue;
      this.#derivations.get(node.derivation)?.delete(node.key);
      node.unlink();
      dropped += 1;
    }
    return dropped;
  }

  /** How often each derivation was computed since the start: what tests of "only readers re-derive" compare. */
  recomputed(): ReadonlyMap<string, number> {
    return new Map(this.#core.recomputed);
  }

  /** How many derived values are kept. */
  get size(): number {
    let size = 0;
    for (const nodes of this.#derivations.values()) size += nodes.size;
    return size;
  }

  #claim(name: string): void {
    if (this.#names.has(name)) throw new Error(`the name "${name}" is taken by another table or derivation of this engine`);
    this.#names.add(name);
  }

  #derived(derivation: Derivation<unknown>, key: string): Derived {
    let nodes = this.#derivations.get(derivation);
    if (nodes === undefined) this.#derivations.set(derivation, (nodes = new Map()));
    let node = nodes.get(key);
    if (node === undefined) nodes.set(key, (node = new Derived(this.#core, derivation, key)));
    return node;
  }
}

/** What the parts of one engine share. */
interface Core extends Revisions {
  /** Derivations being computed or verified, outermost first. */
  readonly running: Derived[];
  /** Candidates of `collect`. */
  readonly unread: Set<Derived>;
  readonly staleHeld: Set<Derived>;
  readonly recomputed: Map<string, number>;
  derived(derivation: Derivation<unknown>, key: string): Derived;
}

type Outcome = { readonly kind: "value"; readonly value: unknown } | { readonly kind: "failure"; readonly error: unknown };

class Derived extends Source {
  readonly derivation: Derivation<unknown>;
  readonly key: string;
  readonly #core: Core;
  /** In the order of reading: an earlier one that changed may make a later one meaningless. */
  #dependencies = new Set<Source>();
  /** Absent before the first computation. */
  #outcome: Outcome | undefined;
  #stale = true;
  #verifiedAt = 0;
  #isRunning = false;
  #holds = 0;

  constructor(core: Core, derivation: Derivation<unknown>, key: string) {
    super();
    this.#core = core;
    this.derivation = derivation;
    this.key = key;
  }

  get label(): string {
    return `${this.derivation.name}(${this.key})`;
  }

  isWanted(): boolean {
    return this.readers.size > 0 || this.#holds > 0;
  }

  hold(): void {
    this.#holds += 1;
    if (this.#stale) this.#core.staleHeld.add(this);
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds > 0) return;
    this.#core.staleHeld.delete(this);
    this.onUnread();
  }

  value(): unknown {
    this.#refresh();
    const outcome = this.#outcome;
    if (outcome === undefined) throw new Error(`${this.label} has no value after it was derived`);
    if (outcome.kind === "failure") throw outcome.error;
    return outcome.value;
  }

  markStale(): void {
    if (this.#stale) return;
    this.#stale = true;
    if (this.#holds > 0) this.#core.staleHeld.add(this);
    this.markReaders();
  }

  override onUnread(): void {
    if (!this.isWanted()) this.#core.unread.add(this);
  }

  /** One that now needs the asker itself counts as changed: computing the asker again records that failure properly. */
  override isCurrent(revision: number): boolean {
    if (this.#isRunning) return false;
    this.#refresh();
    return this.changedAt <= revision;
  }

  #refresh(): void {
    if (this.#isRunning) throw this.#cycle();
    if (!this.#stale) return;
    this.#isRunning = true;
    this.#core.running.push(this);
    try {
      if (this.#outcome === undefined || this.#hasChangedDependency()) this.#compute();
    } finally {
      this.#core.running.pop();
      this.#isRunning = false;
    }
    this.#stale = false;
    this.#verifiedAt = this.#core.revision();
    this.#core.staleHeld.delete(this);
  }

  unlink(): void {
    for (const dependency of this.#dependencies) this.#leave(dependency);
    this.#dependencies = new Set();
  }

  #hasChangedDependency(): boolean {
    for (const dependency of this.#dependencies) {
      if (!dependency.isCurrent(this.#verifiedAt)) return true;
    }
    return false;
  }

  #compute(): void {
    const dependencies = new Set<Source>();
    const outcome = this.#run(dependencies);
    for (const dependency of this.#dependencies) if (!dependencies.has(dependency)) this.#leave(dependency);
    this.#dependencies = dependencies;
    if (this.#isSame(outcome)) return;
    this.#outcome = outcome;
    this.changedAt = this.#core.revision();
  }

  #run(dependencies: Set<Source>): Outcome {
    const { name } = this.derivation;
    this.#core.recomputed.set(name, (this.#core.recomputed.get(name) ?? 0) + 1);
    try {
      return { kind: "value", value: this.derivation.compute(this.#recorder(dependencies), this.key) };
    } catch (error) {
      return { kind: "failure", error };
    }
  }

  /**
   * Records each source before it is read, so that even a failed computation knows what it hangs on; and at once, so that
   * a source does not vanish because its previous reader let go of it in the meantime.
   */
  #recorder(dependencies: Set<Source>): Read {
    const core = this.#core;
    const record = (source: Source): void => {
      dependencies.add(source);
      source.readers.add(this);
    };
    return {
      get(table, key) {
        record(table.cellOf(key));
        return table.get(key);
      },
      all(table) {
        record(table.whole());
        return table.values();
      },
      group(index, key) {
        record(index.cellOf(key));
        return index.get(key);
      },
      derived<V>(derivation: Derivation<V>, key: string): V {
        const node = core.derived(derivation as Derivation<unknown>, key);
        record(node);
        return node.value() as V;
      },
    };
  }

  #isSame(outcome: Outcome): boolean {
    const old = this.#outcome;
    return old?.kind === "value" && outcome.kind === "value" && this.derivation.equals(old.value, outcome.value);
  }

  #leave(dependency: Source): void {
    dependency.readers.delete(this);
    if (dependency.readers.size === 0) dependency.onUnread();
  }

  #cycle(): CycleError {
    const start = this.#core.running.indexOf(this);
    return new CycleError([...this.#core.running.slice(start), this].map((node) => node.label));
  }
}
