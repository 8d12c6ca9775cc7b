/**
 * All objects in memory over the durable log. Every change gets the next revision, is written to the log before anybody
 * sees it, and then goes to the watchers. The last changes stay in memory, so that a watch can start in the past; after a
 * restart they are read back from the log, and a client goes on where it was.
 */
import type { RecordLog } from "#host/storage.ts";
import { kindIds, type KindId } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";

export interface Change {
  readonly revision: number;
  readonly kind: KindId;
  readonly key: string;
  /** undefined: the object is new. */
  readonly before: KubeObject | undefined;
  /** undefined: the object is gone. */
  readonly after: KubeObject | undefined;
}

export interface HistoryLimits {
  readonly changes: number;
  /** Of the objects as JSON, all in all. */
  readonly bytes: number;
}

/** Changes that a watch can start from; older ones are compacted away (Kubernetes keeps 5 minutes). Large objects may not fill memory and disk. */
const DEFAULT_HISTORY: HistoryLimits = { changes: 4000, bytes: 32 * 1024 * 1024 };

interface Remembered {
  readonly change: Change;
  readonly bytes: number;
}

export class Store {
  readonly #log: RecordLog;
  readonly #limits: HistoryLimits;
  readonly #objects = new Map<KindId, Map<string, KubeObject>>(kindIds.map((kind) => [kind, new Map()]));
  readonly #watchers = new Set<(change: Change) => void>();
  #history: Remembered[] = [];
  #historyBytes = 0;
  #revision: number;
  /** Changes up to this one are no longer known. */
  #forgotten: number;

  constructor(log: RecordLog, limits = DEFAULT_HISTORY) {
    this.#log = log;
    this.#limits = limits;
    this.#revision = log.compactedRevision;
    this.#forgotten = log.compactedRevision;
    for (const record of log.load()) {
      const [kind, key] = splitKey(record.key);
      // A kind that a later version dropped stays in the log, unseen.
      if (!this.#objects.has(kind)) continue;
      const after = record.value === undefined ? undefined : withRevision(JSON.parse(record.value) as KubeObject, record.revision);
      this.#revision = Math.max(this.#revision, record.revision);
      const change = this.#change({ revision: record.revision, kind, key, before: this.get(kind, key), after });
      if (record.revision > this.#forgotten) this.#remember(change, record.value);
    }
  }

  get revision(): number {
    return this.#revision;
  }

  get(kind: KindId, key: string): KubeObject | undefined {
    return this.#objects.get(kind)?.get(key);
  }

  /** In no particular order. */
  all(kind: KindId): IterableIterator<KubeObject> {
    return (this.#objects.get(kind) ?? new Map<string, KubeObject>()).values();
  }

  size(kind: KindId): number {
    return this.#objects.get(kind)?.size ?? 0;
  }

  /** Stores the object as its newest version, which is returned. */
  put(kind: KindId, object: KubeObject): KubeObject {
    const key = objectKey(object);
    const revision = this.#revision + 1;
    const value = JSON.stringify(withoutRevision(object));
    this.#log.append([{ revision, key: `${kind}/${key}`, value }]);
    const after = withRevision(object, revision);
    this.#commit({ revision, kind, key, before: this.get(kind, key), after }, value);
    return after;
  }

  /** Returns the object as it was, with the revision of its end. */
  remove(kind: KindId, key: string): KubeObject | undefined {
    const before = this.get(kind, key);
    if (before === undefined) return undefined;
    const revision = this.#revision + 1;
    this.#log.append([{ revision, key: `${kind}/${key}`, value: undefined }]);
    this.#commit({ revision, kind, key, before, after: undefined }, undefined);
    return withRevision(before, revision);
  }

  #commit(change: Change, value: string | undefined): void {
    this.#revision = change.revision;
    this.#remember(this.#change(change), value);
    this.#forget();
    for (const watcher of [...this.#watchers]) watcher(change);
  }

  #change(change: Change): Change {
    const objects = this.#objects.get(change.kind);
    if (change.after === undefined) objects?.delete(change.key);
    else objects?.set(change.key, change.after);
    return change;
  }

  #remember(change: Change, value: string | undefined): void {
    const bytes = value?.length ?? 0;
    this.#history.push({ change, bytes });
    this.#historyBytes += bytes;
  }

  /** A quarter at a time, so that the log is not compacted for every write. */
  #forget(): void {
    const { changes, bytes } = this.#limits;
    if (this.#history.length <= changes * 1.25 && this.#historyBytes <= bytes * 1.25) return;
    let count = 0;
    for (; this.#history.length - count > changes || this.#historyBytes > bytes; count++) this.#historyBytes -= this.#history[count]?.bytes ?? 0;
    const dropped = this.#history.splice(0, count);
    this.#forgotten = dropped.at(-1)?.change.revision ?? this.#forgotten;
    this.#log.compact(this.#forgotten);
  }

  /** Changes after `revision`, oldest first; undefined when some of them are no longer known. */
  since(revision: number): readonly Change[] | undefined {
    if (revision < this.#forgotten) return undefined;
    const start = this.#history.findLastIndex(({ change }) => change.revision <= revision) + 1;
    return this.#history.slice(start).map(({ change }) => change);
  }

  /** Called for every change from now on, in order, in the turn it happened. */
  watch(watcher: (change: Change) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  close(): void {
    this.#watchers.clear();
    this.#log.close();
  }
}

function splitKey(key: string): readonly [KindId, string] {
  const slash = key.indexOf("/");
  return [key.slice(0, slash) as KindId, key.slice(slash + 1)];
}

export function withRevision(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

function withoutRevision(object: KubeObject): unknown {
  const { resourceVersion: _revision, ...metadata } = object.metadata;
  return { ...object, metadata };
}
