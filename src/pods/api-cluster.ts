/** The API server as a `Cluster`: the node's pods kept current by a watch, statuses by merge patches. */
import { ApiRefusal, isConflict, isNotFound } from "#client/api-error.ts";
import { nameOf, type ApiClient } from "#client/client.ts";
import { followWorld, type FollowedWorld } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { Lease } from "#model/coordination.ts";
import type { Event, Node, Pod, PodStatus } from "#model/core.ts";
import type { Log } from "#run/log.ts";
import type { Cluster } from "./cluster.ts";
import type { Sources } from "./environment.ts";
import { ObjectSources } from "./object-sources.ts";

export interface ApiClusterOptions {
  readonly api: ApiClient;
  readonly host: Pick<Host, "clock" | "random">;
  readonly log: Log;
  readonly nodeName: string;
  readonly podsChanged: () => void;
  readonly sourcesChanged: () => void;
}

export class ApiCluster implements Cluster {
  readonly #api: ApiClient;
  readonly #followed: FollowedWorld;
  readonly #sources: ObjectSources;
  #nodeMade = false;

  constructor(options: ApiClusterOptions) {
    const { api, host, log, nodeName } = options;
    this.#api = api;
    this.#sources = new ObjectSources({ api, host, changed: options.sourcesChanged });
    this.#followed = followWorld(api, ["Pod"], {
      host,
      only: { Pod: { fieldSelector: `spec.nodeName=${nodeName}` } },
      changed: options.podsChanged,
      onTrouble: (kind, error) => log.warn("the API server does not answer; pods go on as they are", { object: kind, error }),
    });
  }

  /** Until then nothing is known, and no pod of a former runtime may be given up. */
  get synced(): Promise<void> {
    return this.#followed.ready;
  }

  pods(): ReadonlyMap<string, Pod> {
    return this.#followed.world.Pod ?? new Map();
  }

  sources(namespace: string): Sources {
    return this.#sources.of(namespace);
  }

  async writeStatus(pod: Pod, status: PodStatus): Promise<void> {
    try {
      await this.#api.patch("Pod", nameOf(pod), { metadata: { uid: pod.metadata.uid }, status }, { subresource: "status" });
    } catch (error) {
      // The object is gone, or it is another pod of the same name by now.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async remove(pod: Pod): Promise<void> {
    try {
      await this.#api.delete("Pod", nameOf(pod), { gracePeriodSeconds: 0, ...(pod.metadata.uid === undefined ? {} : { uid: pod.metadata.uid }) });
    } catch (error) {
      // Conflict: a newer pod of the same name. Forbidden: the object that we knew is gone, and nothing says it was ours.
      if (!isNotFound(error) && !isConflict(error) && !(error instanceof ApiRefusal && error.status.code === 403)) throw error;
    }
  }

  async createEvent(event: Event): Promise<void> {
    await this.#api.create("Event", event);
  }

  async updateEvent(event: Event): Promise<void> {
    const { count, lastTimestamp } = event;
    await this.#api.patch("Event", nameOf(event), { count, lastTimestamp });
  }

  async writeNode(node: Node): Promise<void> {
    if (!this.#nodeMade) {
      const known = await this.#api.find("Node", node.metadata.name);
      if (known === undefined) await this.#api.create("Node", node);
      // Who wrote it first (the control plane may) need not know what this machine is.
      else await this.#api.patch("Node", nameOf(node), { metadata: { labels: node.metadata.labels } });
      this.#nodeMade = true;
    }
    try {
      await this.#api.patch("Node", nameOf(node), { status: node.status }, { subresource: "status", type: "strategic" });
    } catch (error) {
      if (isNotFound(error)) this.#nodeMade = false;
      throw error;
    }
  }

  async renewLease(lease: Lease): Promise<void> {
    try {
      await this.#api.patch("Lease", nameOf(lease), { spec: lease.spec });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#api.create("Lease", lease);
    }
  }

  stop(): Promise<void> {
    this.#followed.stop();
    this.#sources.stop();
    return Promise.resolve();
  }
}
