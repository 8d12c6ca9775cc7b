/**
 * ConfigMaps and Secrets that pods of this node use, and no others: a node may read just those. Each is followed by a
 * watch of its own from the first time a pod asks for it.
 */
import type { ApiClient } from "#client/client.ts";
import { followWorld, type FollowedWorld } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { ConfigMap, Secret } from "#model/core.ts";
import { keyOf } from "#model/object.ts";
import type { Sources } from "./environment.ts";

export interface ObjectSourcesOptions {
  readonly api: ApiClient;
  readonly host: Pick<Host, "clock" | "random">;
  /** One of them came, changed or went. */
  readonly changed: () => void;
}

interface Followed {
  readonly objects: FollowedWorld;
  /** The API server said what there is, or that it does not say. */
  readonly answered: Promise<void>;
}

export class ObjectSources {
  readonly #options: ObjectSourcesOptions;
  readonly #followed = new Map<string, Followed>();

  constructor(options: ObjectSourcesOptions) {
    this.#options = options;
  }

  of(namespace: string): Sources {
    return {
      configMap: (name): ConfigMap | undefined => this.#follow("ConfigMap", namespace, name).objects.world.ConfigMap?.get(keyOf(namespace, name)),
      secret: (name): Secret | undefined => this.#follow("Secret", namespace, name).objects.world.Secret?.get(keyOf(namespace, name)),
      settled: (signal) => this.#settled(signal),
    };
  }

  stop(): void {
    for (const { objects } of this.#followed.values()) objects.stop();
  }

  async #settled(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    if (!signal.aborted) await Promise.race([aborted, Promise.all([...this.#followed.values()].map((followed) => followed.answered))]);
  }

  #follow(kind: "ConfigMap" | "Secret", namespace: string, name: string): Followed {
    const key = `${kind} ${namespace}/${name}`;
    let followed = this.#followed.get(key);
    if (followed === undefined) {
      const { api, host, changed } = this.#options;
      let refused: () => void = () => {};
      const trouble = new Promise<void>((resolve) => (refused = resolve));
      const only = { [kind]: { namespace, fieldSelector: `metadata.name=${name}` } };
      const objects = followWorld(api, [kind], { host, only, changed, onTrouble: () => refused() });
      followed = { objects, answered: Promise.race([objects.ready, trouble]) };
      this.#followed.set(key, followed);
    }
    return followed;
  }
}
