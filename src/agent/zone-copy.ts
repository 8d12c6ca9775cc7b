/** The cluster's names, with a copy on disk: an agent that starts while the API server is away still answers them. */
import type { Host } from "#host/host.ts";
import type { DnsZone } from "#model/plan/node-plan.ts";

export class ZoneCopy {
  readonly #host: Pick<Host, "files">;
  readonly #path: string;
  #current: DnsZone;
  #isWriting = false;
  #isDirty = false;

  private constructor(host: Pick<Host, "files">, path: string, current: DnsZone) {
    this.#host = host;
    this.#path = path;
    this.#current = current;
  }

  static async load(host: Pick<Host, "files">, path: string, domain: string): Promise<ZoneCopy> {
    const empty: DnsZone = { domain, reverse: [], namespaces: [], names: {} };
    const known = (await host.files.stat(path)) === undefined ? empty : (JSON.parse(await host.files.readText(path)) as DnsZone);
    return new ZoneCopy(host, path, known);
  }

  get current(): DnsZone {
    return this.#current;
  }

  set(zone: DnsZone): void {
    if (zone === this.#current) return;
    this.#current = zone;
    this.#isDirty = true;
    if (!this.#isWriting) void this.#write();
  }

  /** One write at a time, the newest last. A copy that could not be written is only an older copy. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#isDirty) {
      this.#isDirty = false;
      await this.#host.files.writeAtomic(this.#path, JSON.stringify(this.#current)).catch(() => undefined);
    }
    this.#isWriting = false;
  }
}
