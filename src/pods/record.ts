/** What the runtime notes about a pod, so that the next runtime (after a crash or an upgrade) goes on with it. */
import type { Files } from "#host/files.ts";
import type { ContainerRecord } from "./container.ts";

export interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Number among the node's pods; host uids come from it. */
  readonly slot: number;
  readonly startedAtMs: number;
  /** From CNI ADD; undefined until the network is there. */
  podIP: string | undefined;
  /** The plugin's whole result: CNI wants it back at DEL. */
  cniResult: unknown;
  readonly containers: Record<string, ContainerRecord>;
}

const fileName = "record.json";

export async function saveRecord(files: Files, folder: string, record: PodRecord): Promise<void> {
  await files.writeAtomic(`${folder}/${fileName}`, JSON.stringify(record), { mode: 0o600 });
}

/** Records of all pods that a former runtime of this node left; unreadable ones are told by their folder. */
export async function loadRecords(files: Files, sandboxes: string): Promise<{ records: PodRecord[]; broken: string[] }> {
  const records: PodRecord[] = [];
  const broken: string[] = [];
  const names = (await files.stat(sandboxes)) === undefined ? [] : await files.list(sandboxes);
  for (const name of names) {
    try {
      records.push(JSON.parse(await files.readText(`${sandboxes}/${name}/${fileName}`)) as PodRecord);
    } catch {
      broken.push(name);
    }
  }
  return { records, broken };
}
