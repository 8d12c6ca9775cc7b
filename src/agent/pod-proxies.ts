/** Each pod's proxy has a socket of its own: what is served there is that pod's, and where it is keeps all others out. */
import type { Pod } from "#model/core.ts";
import type { Ads, ProxySocket } from "./ads/ads.ts";
import type { PodRecord } from "./pod-records.ts";

export type SocketOf = (record: PodRecord) => Promise<ProxySocket>;

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
  async serve(record: PodRecord): Promise<void> {
    const { ads, socketOf } = this.#options;
    const { namespace, name, uid, serviceAccount } = record;
    if (serviceAccount !== undefined) await ads.add({ namespace, name, uid, serviceAccount }, await socketOf(record));
  }

  async forget(uid: string): Promise<void> {
    await this.#options.ads.remove(uid);
  }
}

/** What a pod's record says of its proxy. */
export function proxyOf(pod: Pod): Pick<PodRecord, "serviceAccount"> {
  return hasProxy(pod) ? { serviceAccount: pod.spec.serviceAccountName ?? "default" } : {};
}

/** Sidecars and gateways alike: injection gives them a container of this name. */
export function hasProxy(pod: Pod): boolean {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some(({ name }) => name === "istio-proxy");
}
