/** Host.Storage in memory. The logs outlive their handles, as files do: opening a path again after a "crash" finds what was appended. */
import { HostError } from "#host/host-error.ts";
import type { RecordLog, Storage, StoredRecord } from "#host/storage.ts";

interface Log {
  records: StoredRecord[];
  compacted: number;
}

/** The disks of one simulated machine: logs by path. */
export type FakeDisk = Map<string, Log>;

export function fakeStorage(disk: FakeDisk = new Map()): Storage {
  return {
    open(path) {
      const log = disk.get(path) ?? { records: [], compacted: 0 };
      disk.set(path, log);
      return Promise.resolve(openLog(log, path));
    },
  };
}

function openLog(log: Log, path: string): RecordLog {
  let isOpen = true;
  const mustBeOpen = () => {
    if (!isOpen) throw new HostError("EBADF", path, "the log is closed");
  };
  return {
    append(records) {
      mustBeOpen();
      const last = log.records.at(-1)?.revision ?? 0;
      for (const { revision, key } of records) {
        if (revision <= last && log.records.some((each) => each.revision === revision && each.key === key))
          throw new HostError("EIO", path, `cannot write the log: ${key} has a record of revision ${revision}`);
      }
      log.records.push(...records.map((record) => ({ ...record })));
    },
    load() {
      mustBeOpen();
      return log.records.toSorted((a, b) => a.revision - b.revision || (a.key < b.key ? -1 : 1));
    },
    compact(revision) {
      mustBeOpen();
      if (revision <= log.compacted) return;
      const newest = new Map<string, number>();
      for (const record of log.records) if (record.revision <= revision) newest.set(record.key, Math.max(record.revision, newest.get(record.key) ?? 0));
      log.records = log.records.filter((record) => record.revision > revision || (record.value !== undefined && record.revision === newest.get(record.key)));
      log.compacted = revision;
    },
    get compactedRevision() {
      return log.compacted;
    },
    close() {
      isOpen = false;
    },
  };
}
