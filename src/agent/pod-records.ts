/**
 * Which pod has which address on this node. The file lives on a tmpfs, beside the namespaces it speaks of: a
 * record whose namespace is gone is of a pod that is gone, however it went, so no address can leak.
 */
import type { Host } from "#host/host.ts";
import { cidr, formatIp, lastAddress, nthAddress } from "#lib/ip.ts";

export interface PodRecord {
  readonly containerId: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly netns: string;
  readonly ip: string;
  /** Of a pod with a proxy: its service account. So an agent can serve the proxy before it has heard of the pod. */
  readonly serviceAccount?: string;
}

export interface AddressOptions {
  readonly podCIDR: string;
  /**
   * The API still says that another pod has it (after a start of the machine, all that were here): policies of other nodes
   * would take the one for the other. Such an address is given only when there is no other.
   */
  readonly isAnothers: (ip: string) => boolean;
  /** Hears of pods that lost theirs, because they went without a word. */
  readonly gone: (record: PodRecord) => Promise<void>;
}

/** The network's address and the node's own. */
const RESERVED = 2;

export class PodRecords {
  readonly #host: Pick<Host, "files" | "netns">;
  readonly #path: string;
  readonly #records = new Map<string, PodRecord>();
  /** Where the last search ended: addresses that were just freed are used last, while others may still know them. */
  #next = RESERVED;
  #saving: Promise<void> = Promise.resolve();

  constructor(host: Pick<Host, "files" | "netns">, path: string) {
    this.#host = host;
    this.#path = path;
  }

  /** Reads what an earlier agent left; forgets pods whose namespaces are gone. */
  async load(): Promise<readonly PodRecord[]> {
    if ((await this.#host.files.stat(this.#path)) === undefined) return [];
    const { next, pods } = JSON.parse(await this.#host.files.readText(this.#path)) as RecordsFile;
    this.#next = next;
    for (const record of pods) {
      if (await this.#host.netns.exists(record.netns)) this.#records.set(record.containerId, record);
    }
    return this.all();
  }

  all(): readonly PodRecord[] {
    return [...this.#records.values()];
  }

  get(containerId: string): PodRecord | undefined {
    return this.#records.get(containerId);
  }

  /** Takes an address for the pod, or gives the one it has. */
  async add(pod: Omit<PodRecord, "ip">, { podCIDR, isAnothers, gone }: AddressOptions): Promise<PodRecord> {
    let ip = this.#records.get(pod.containerId)?.ip ?? this.#search(podCIDR, isAnothers) ?? this.#search(podCIDR);
    if (ip === undefined) {
      await this.#reclaim(gone);
      ip = this.#search(podCIDR) ?? fail(podCIDR);
    }
    // Nothing was awaited since the search: two pods at once must not find the same last address.
    const record = { ...pod, ip };
    this.#records.set(pod.containerId, record);
    await this.#save();
    return record;
  }

  /** With the address that somebody else gave it. */
  async set(record: PodRecord): Promise<void> {
    this.#records.delete(record.containerId);
    this.#records.set(record.containerId, record);
    await this.#save();
  }

  /** Of a pod whose sandbox was made anew there are two, until the old one is removed. */
  newestOf(uid: string): PodRecord | undefined {
    return this.all().findLast((record) => record.uid === uid);
  }

  async remove(containerId: string): Promise<void> {
    if (this.#records.delete(containerId)) await this.#save();
  }

  #search(podCIDR: string, isAnothers: (ip: string) => boolean = () => false): string | undefined {
    const range = cidr(podCIDR);
    const taken = new Set(this.all().map(({ ip }) => ip));
    const last = Number(lastAddress(range).value - range.ip.value);
    for (let tried = RESERVED; tried < last; tried += 1) {
      const index = RESERVED + ((this.#next - RESERVED + tried - RESERVED) % (last - RESERVED));
      const address = nthAddress(range, index);
      const text = address === undefined ? "" : formatIp(address);
      if (text === "" || taken.has(text) || isAnothers(text)) continue;
      this.#next = index + 1;
      return text;
    }
    return undefined;
  }

  async #reclaim(gone: (record: PodRecord) => Promise<void>): Promise<void> {
    for (const record of this.all()) {
      if (await this.#host.netns.exists(record.netns)) continue;
      await gone(record);
      this.#records.delete(record.containerId);
    }
  }

  #write(): Promise<void> {
    const content: RecordsFile = { next: this.#next, pods: this.all() };
    return this.#host.files.writeAtomic(this.#path, `${JSON.stringify(content, undefined, 1)}\n`, { mode: 0o600 });
  }

  /** One write after the other, each with the newest state. */
  #save(): Promise<void> {
    this.#saving = this.#saving.catch(() => {}).then(() => this.#write());
    return this.#saving;
  }
}

interface RecordsFile {
  /** Index in the range where the next search begins. */
  readonly next: number;
  readonly pods: readonly PodRecord[];
}

function fail(podCIDR: string): never {
  throw new Error(`no free address in the node's range ${podCIDR}; delete pods or give the node a larger range`);
}
