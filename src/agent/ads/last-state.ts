/**
 * What this node's proxies were last served, kept on the node: an agent that starts again while the control plane is away
 * serves that, also to proxies that start meanwhile. One file for all pods, because they see mostly the same resources; on a
 * tmpfs, readable for root alone, because keys are in it (docs/adr/0013).
 *
 * It is written a moment after the last change and not for each: what is lost with an agent that was killed is asked of the
 * control plane, which sends what differs.
 */
import type { Timer } from "#host/clock.ts";
import type { Host } from "#host/host.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Log } from "#run/log.ts";

/** As control signed it, and its key. */
export interface SavedIdentity {
  /** PEM, the pod's own first, the root last. */
  readonly chain: readonly string[];
  readonly privateKey: string;
}

export interface SavedPod {
  /** Type url -> name -> resource. */
  readonly types: ReadonlyMap<string, ReadonlyMap<string, EncodedResource>>;
  readonly identity: SavedIdentity | undefined;
}

export interface LastStateOptions {
  readonly path: string;
  readonly log: Log;
}

type StateHost = Pick<Host, "files" | "clock">;

/** Endpoints come and go in waves; a write costs as much as all of them are large. */
const SAVED_AFTER_MS = 5_000;
const FORMAT = 1;

interface StateFile {
  readonly format: number;
  readonly resources: readonly (readonly [name: string, version: string, base64: string])[];
  readonly pods: Readonly<Record<string, SavedPodFile>>;
}

interface SavedPodFile {
  /** Type url -> indexes of resources. */
  readonly types: Readonly<Record<string, readonly number[]>>;
  readonly identity?: SavedIdentity;
}

export class LastState {
  readonly #host: StateHost;
  readonly #options: LastStateOptions;
  /** Of a former agent, until its pod is served here. */
  readonly #former: Map<string, SavedPod>;
  readonly #pods = new Map<string, () => SavedPod>();
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(host: StateHost, options: LastStateOptions, former: Map<string, SavedPod>) {
    this.#host = host;
    this.#options = options;
    this.#former = former;
  }

  static async load(host: StateHost, options: LastStateOptions): Promise<LastState> {
    const { path, log } = options;
    let former = new Map<string, SavedPod>();
    try {
      if ((await host.files.stat(path)) !== undefined) former = read(await host.files.readText(path));
    } catch (error) {
      log.warn("cannot read what proxies were last served; they wait for the control plane", { object: path, error });
    }
    return new LastState(host, options, former);
  }

  /** What the pod was last served by a former agent. `now`: what it is served here, from now on. */
  take(uid: string, now: () => SavedPod): SavedPod | undefined {
    this.#pods.set(uid, now);
    const former = this.#former.get(uid);
    this.#former.delete(uid);
    return former;
  }

  forget(uid: string): void {
    this.#former.delete(uid);
    if (this.#pods.delete(uid)) this.changed();
  }

  /** Pods that went while there was no agent: their keys go, too. */
  forgetOthers(uids: ReadonlySet<string>): void {
    const gone = [...this.#former.keys()].filter((uid) => !uids.has(uid));
    for (const uid of gone) this.#former.delete(uid);
    if (gone.length > 0) this.changed();
  }

  changed(): void {
    this.#timer ??= this.#host.clock.after(SAVED_AFTER_MS, () => void this.#save()).unref();
  }

  /** With what is known now. */
  async close(): Promise<void> {
    await (this.#timer === undefined ? this.#saving : this.#save());
  }

  #save(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    const { path, log } = this.#options;
    // Pods of a former agent that are not served again yet are kept: this agent may be ended, too.
    const pods = new Map([...this.#former, ...[...this.#pods].map(([uid, now]) => [uid, now()] as const)]);
    await this.#host.files
      .writeAtomic(path, written(pods), { mode: 0o600 })
      .catch((error: unknown) => log.warn("cannot write what proxies are served; an older copy stays", { object: path, error }));
  }
}

function written(pods: ReadonlyMap<string, SavedPod>): string {
  const indexes = new Map<EncodedResource, number>();
  const resources: [string, string, string][] = [];
  const indexOf = (resource: EncodedResource): number => {
    const known = indexes.get(resource);
    if (known !== undefined) return known;
    indexes.set(resource, resources.length);
    return resources.push([resource.name, resource.version, Buffer.from(resource.bytes).toString("base64")]) - 1;
  };
  const entries = [...pods].map(([uid, { types, identity }]): [string, SavedPodFile] => {
    const byType = Object.fromEntries([...types].map(([typeUrl, named]) => [typeUrl, [...named.values()].map(indexOf)]));
    return [uid, { types: byType, ...(identity === undefined ? {} : { identity }) }];
  });
  return JSON.stringify({ format: FORMAT, resources, pods: Object.fromEntries(entries) } satisfies StateFile);
}

function read(text: string): Map<string, SavedPod> {
  const file = JSON.parse(text) as StateFile;
  if (file.format !== FORMAT) throw new Error(`format ${file.format} is not ${FORMAT}: another version of the agent wrote it`);
  const resources = file.resources.map(([name, version, base64]): EncodedResource => ({ name, version, bytes: new Uint8Array(Buffer.from(base64, "base64")) }));
  return new Map(
    Object.entries(file.pods).map(([uid, { types, identity }]) => {
      const byType = Object.entries(types).map(([typeUrl, indexes]) => {
        const named = indexes.flatMap((index) => resources[index] ?? []);
        return [typeUrl, new Map(named.map((resource) => [resource.name, resource]))] as const;
      });
      return [uid, { types: new Map(byType), identity }];
    }),
  );
}
