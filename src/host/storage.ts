/** A durable log of keyed records: what the embedded API server keeps. SQLite on the real host, memory on the fake. */
export interface Storage {
  /** Opens or makes the log at `path`. Rejects with HostError when its schema is newer than this program. */
  open(path: string): Promise<RecordLog>;
}

export interface StoredRecord {
  readonly revision: number;
  readonly key: string;
  /** undefined: the key was deleted at this revision. */
  readonly value: string | undefined;
}

export interface RecordLog {
  /** One transaction; when it returns, it survives the process. Revisions must grow. */
  append(records: readonly StoredRecord[]): void;
  /** Everything not compacted, in order of revision. */
  load(): Iterable<StoredRecord>;
  /** Drops what was superseded or deleted at or before `revision`. */
  compact(revision: number): void;
  /** The last compacted revision, 0 when never. */
  readonly compactedRevision: number;
  close(): void;
}
