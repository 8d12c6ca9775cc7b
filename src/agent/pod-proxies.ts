/** Each pod's proxy has a socket of its own: what is served there is that pod's, and where it is keeps all others out. */
import type { Pod } from "#model/core.ts";
import type { Ads, ProxySocket } from "./ads/ads.ts";
import type { PodRecord } from "./pod-records.ts";

export type SocketOf = (pod: Pod, record: PodRecord) => Promise<ProxySocket>;

export interface PodProxiesOptions {
  readonly ads: Ads;
  readonly socketOf: SocketOf;
}

export class PodProxies {
  readonly #options: PodProxiesOptions;

  constructor(options: PodProxiesOptions) {
    this.#options = options;
  }

  /** Nothing for a pod without one. */
  async serve(pod: Pod, record: PodRecord): Promise<void> {
    if (!hasProxy(pod)) return;
    const { ads, socketOf } = this.#options;
    const { namespace = "", name, uid = "" } = pod.metadata;
    await ads.add({ namespace, name, uid, serviceAccount: pod.spec.serviceAccountName ?? "default" }, await socketOf(pod, record));
  }

  async forget(uid: string): Promise<void> {
    await this.#options.ads.remove(uid);
  }
}

/** Sidecars and gateways alike: injection gives them a container of this name. */
export function hasProxy(pod: Pod): boolean {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some(({ name }) => name === "istio-proxy");
}
