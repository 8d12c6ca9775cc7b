/**
 * Host.Storage: one table of SQLite in WAL mode. `synchronous = NORMAL`: what `append` wrote survives the death of the
 * process at once, and that of the machine from the next checkpoint on; it is never left half written. FULL would wait for
 * the disk at every write (8 ms measured here, 2026-11), for the sake of readers outside this machine, which there are none.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { HostError } from "#host/host-error.ts";
import type { RecordLog, Storage, StoredRecord } from "#host/storage.ts";

/** Counts up when the table changes; a newer one is refused. */
const SCHEMA = 1;

export function realStorage(): Storage {
  return {
    async open(path) {
      // Only the control plane opens a log; other programs need not load SQLite.
      const sqlite = await import("node:sqlite");
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      try {
        return openLog(new sqlite.DatabaseSync(path), path);
      } catch (cause) {
        if (cause instanceof HostError) throw cause;
        const { code = "EIO", message } = cause as Error & { code?: string };
        throw new HostError(code, path, `cannot open the log: ${message}`, { cause });
      }
    },
  };
}

function openLog(database: DatabaseSync, path: string): RecordLog {
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;");
  const found = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0] ?? 0);
  if (found > SCHEMA) {
    database.close();
    throw new HostError(
      "ERR_WEFT_SCHEMA",
      path,
      `was written by a newer weft (schema ${found}, this one knows ${SCHEMA}); use that version, or start with --fresh`,
    );
  }
  database.exec(`
    CREATE TABLE IF NOT EXISTS records (revision INTEGER NOT NULL, key TEXT NOT NULL, value TEXT, PRIMARY KEY (revision, key)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS records_by_key ON records (key, revision);
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = ${SCHEMA};
  `);
  const insert = database.prepare("INSERT INTO records (revision, key, value) VALUES (?, ?, ?)");
  const superseded = database.prepare(
    "DELETE FROM records WHERE revision <= ?1 AND (value IS NULL OR revision < (SELECT max(revision) FROM records AS newer WHERE newer.key = records.key AND newer.revision <= ?1))",
  );
  const setCompacted = database.prepare("INSERT INTO facts (name, value) VALUES ('compacted', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
  const row = database.prepare("SELECT value FROM facts WHERE name = 'compacted'").get();
  let compactedRevision = Number(row?.["value"] ?? 0);

  function transaction(work: () => void): void {
    database.exec("BEGIN IMMEDIATE");
    try {
      work();
      database.exec("COMMIT");
    } catch (cause) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw new HostError("EIO", path, `cannot write the log: ${(cause as Error).message}`, { cause });
    }
  }

  return {
    append: (records) => transaction(() => records.forEach(({ revision, key, value }) => insert.run(revision, key, value ?? null))),
    *load(): Iterable<StoredRecord> {
      for (const each of database.prepare("SELECT revision, key, value FROM records ORDER BY revision, key").iterate()) {
        yield { revision: Number(each["revision"]), key: String(each["key"]), value: each["value"] === null ? undefined : String(each["value"]) };
      }
    },
    compact(revision) {
      if (revision <= compactedRevision) return;
      transaction(() => {
        superseded.run(revision);
        setCompacted.run(revision);
      });
      compactedRevision = revision;
    },
    get compactedRevision() {
      return compactedRevision;
    },
    close: () => database.close(),
  };
}
