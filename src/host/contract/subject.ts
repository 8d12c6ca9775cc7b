/** What a contract suite gets: a host, and how to wait on it (a fake host's time moves only while somebody drives it). */
import type { Host } from "#host/host.ts";

export interface Subject {
  readonly host: Host;
  /** Waits for the promise; a fake host runs its events meanwhile. */
  settle<T>(work: Promise<T>): Promise<T>;
  /** A folder of the test's own. */
  readonly folder: string;
  close(): Promise<void>;
}
