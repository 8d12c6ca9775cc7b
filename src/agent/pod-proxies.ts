/** Each pod's proxy has a socket of its own, in its pod's folder: who can open it is that proxy. */
import type { Host } from "#host/host.ts";
import type { Pod } from "#model/core.ts";
import type { Ads } from "./ads/ads.ts";

export interface PodProxiesOptions {
  readonly host: Pick<Host, "files">;
  readonly ads: Ads;
  /** The node's. */
  readonly folder: string;
}

export class PodProxies {
  readonly #options: PodProxiesOptions;

  constructor(options: PodProxiesOptions) {
    this.#options = options;
  }

  /** Nothing for a pod without one. */
  async serve(pod: Pod): Promise<void> {
    if (!hasProxy(pod)) return;
    const { host, ads, folder } = this.#options;
    const { namespace = "", name, uid = "" } = pod.metadata;
    await host.files.makeDirectory(`${folder}/pods/${uid}`);
    await ads.add({ namespace, name, uid, serviceAccount: pod.spec.serviceAccountName ?? "default" }, `${folder}/pods/${uid}/xds.sock`);
  }

  async forget(uid: string): Promise<void> {
    await this.#options.ads.remove(uid);
  }
}

/** Sidecars and gateways alike: injection gives them a container of this name. */
function hasProxy(pod: Pod): boolean {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some(({ name }) => name === "istio-proxy");
}
