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

export class ObjectSources {
  readonly #options: ObjectSourcesOptions;
  readonly #followed = new Map<string, FollowedWorld>();

  constructor(options: ObjectSourcesOptions) {
    this.#options = options;
  }

  of(namespace: string): Sources {
    return {
      configMap: (name): ConfigMap | undefined => this.#follow("ConfigMap", namespace, name).world.ConfigMap?.get(keyOf(namespace, name)),
      secret: (name): Secret | undefined => this.#follow("Secret", namespace, name).world.Secret?.get(keyOf(namespace, name)),
    };
  }

  /** Resolves when what was asked for so far has been looked for once. */
  async settled(): Promise<void> {
    await Promise.all([...this.#followed.values()].map((followed) => followed.ready));
  }

  stop(): void {
    for (const followed of this.#followed.values()) followed.stop();
  }

  #follow(kind: "ConfigMap" | "Secret", namespace: string, name: string): FollowedWorld {
    const key = `${kind} ${namespace}/${name}`;
    let followed = this.#followed.get(key);
    if (followed === undefined) {
      const { api, host, changed } = this.#options;
      followed = followWorld(api, [kind], { host, only: { [kind]: { namespace, fieldSelector: `metadata.name=${name}` } }, changed });
      this.#followed.set(key, followed);
    }
    return followed;
  }
}
