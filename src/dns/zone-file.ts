/** The zone as the node's agent last wrote it: read again when the file is replaced. */
import type { Host } from "#host/host.ts";
import type { DnsZone } from "#model/plan/node-plan.ts";
import type { Log } from "#run/log.ts";

/** An inotify event may be lost; a look costs nothing. */
const LOOK_EVERY_MS = 1_000;

export interface ZoneFileOptions {
  readonly path: string;
  readonly log: Log;
}

export class ZoneFile {
  readonly #host: Pick<Host, "files" | "clock">;
  readonly #options: ZoneFileOptions;
  readonly #closers: (() => void)[] = [];
  #current: DnsZone | undefined;
  /** Of the file that was read last. */
  #version = "";
  #reading: Promise<void> = Promise.resolve();

  constructor(host: Pick<Host, "files" | "clock">, options: ZoneFileOptions) {
    this.#host = host;
    this.#options = options;
    const watching = host.files.watch(options.path.slice(0, options.path.lastIndexOf("/")), () => void this.read());
    const timer = host.clock.every(LOOK_EVERY_MS, () => void this.read());
    this.#closers.push(
      () => watching.close(),
      () => timer.cancel(),
    );
  }

  /** undefined: the agent has not written any since the machine started. Nobody may be told then that a name does not exist. */
  get current(): DnsZone | undefined {
    return this.#current;
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
  }

  read(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read());
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { path, log } = this.#options;
    try {
      const facts = await this.#host.files.stat(path);
      const version = facts === undefined ? "" : `${facts.modifiedMs} ${facts.sizeBytes}`;
      if (facts === undefined || version === this.#version) return;
      this.#current = JSON.parse(await this.#host.files.readText(path)) as DnsZone;
      this.#version = version;
    } catch (error) {
      log.warn("cannot read the node's names; those that are known are answered", { object: path, error });
    }
  }
}
