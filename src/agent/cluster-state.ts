/** What the agent knows of the cluster: the World's part that concerns nodes, followed from the API server. */
import type { ApiClient, ListOptions } from "#client/client.ts";
import { followWorld, type FollowedWorld, type FollowOptions, type ObjectChange } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { Pod } from "#model/core.ts";
import type { KindId } from "#model/kinds.ts";
import type { Log } from "#run/log.ts";

export interface ClusterStateOptions {
  readonly host: Pick<Host, "clock" | "random">;
  readonly api: ApiClient;
  readonly log: Log;
  readonly kinds: readonly KindId[];
  /** Narrows a kind. */
  readonly only?: { readonly [K in KindId]?: ListOptions };
  /** What is kept of each object. */
  readonly keep?: FollowOptions["keep"];
  readonly changed: (changes: readonly ObjectChange[]) => void;
}

export class ClusterState {
  readonly #followed: FollowedWorld;
  /** "namespace/name" by address. */
  readonly #podsByAddress = new Map<string, string>();

  constructor({ host, api, log, kinds, only, keep, changed }: ClusterStateOptions) {
    this.#followed = followWorld(api, kinds, {
      host,
      ...(only === undefined ? {} : { only }),
      ...(keep === undefined ? {} : { keep }),
      changed: (changes) => {
        for (const change of changes) if (change.kind === "Pod") this.#podChanged(change);
        changed(changes);
      },
      onTrouble: (kind, error) => log.warn("the API server does not answer; what is known stays in force", { object: kind, error }),
    });
  }

  get ready(): Promise<void> {
    return this.#followed.ready;
  }

  get isCurrent(): boolean {
    return this.#followed.isCurrent;
  }

  get world() {
    return this.#followed.world;
  }

  podAt(ip: string): string | undefined {
    return this.#podsByAddress.get(ip);
  }

  findPod(key: string): Pod | undefined {
    return this.world.Pod?.get(key);
  }

  stop(): void {
    this.#followed.stop();
  }

  #podChanged({ key, before, after }: ObjectChange): void {
    const old = (before as Pod | undefined)?.status?.podIP;
    if (old !== undefined && this.#podsByAddress.get(old) === key) this.#podsByAddress.delete(old);
    const pod = after as Pod | undefined;
    if (pod?.status?.podIP !== undefined && pod.spec.hostNetwork !== true) this.#podsByAddress.set(pod.status.podIP, key);
  }
}
