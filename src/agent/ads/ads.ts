/**
 * The node's side of xDS and SDS: one Unix socket a pod, and what is served there is that pod's and nobody else's.
 * Identity is proved by the socket: only that pod's proxy can reach it, or is admitted; node ids in requests are not read.
 *
 * Each pod has an upstream plan (a stream to control on the node's certificate, with the pod in the call's metadata) and
 * an identity (its key and SVID). Both are served by the same xDS server as control's (xds/), with this node's copy as its
 * plans: so proxies start, restart and renew without control, as far as the last answers reach.
 */
import type { Host } from "#host/host.ts";
import type { RpcChannel, RpcServeOptions, RpcServer } from "#host/rpc.ts";
import type { ProxyPlan } from "#model/plan/proxy-plan.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import type { Log } from "#run/log.ts";
import { startXds } from "#xds/xds.ts";
import type { Xds } from "#xds/xds.ts";
import { Identity } from "./identity.ts";
import type { LastState } from "./last-state.ts";
import { SharedResources, UpstreamPlan } from "./upstream-plan.ts";

export type AdsHost = Pick<Host, "rpc" | "clock" | "random">;

export interface AdsOptions {
  /** To control's xDS and CA, 15012; it proves which node we are. */
  readonly channel: RpcChannel;
  readonly log: Log;
  /** What a former agent served, and what the next one will find. Absent: neither. */
  readonly lastState?: LastState | undefined;
}

/** Where a pod's proxy is served. */
export interface ProxySocket {
  readonly path: string;
  /** Of an abstract name ("@name"): the pod's network namespace. */
  readonly netns?: string;
  /** Asked for each connection; a string refuses it. Absent: the file's folder says who may connect. */
  readonly admit?: NonNullable<RpcServeOptions["admit"]>;
}

export interface AdsPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
}

export interface Ads {
  /** Serves the pod at `socket`; resolves when it listens. Again for the same pod and namespace: does nothing. */
  add(pod: AdsPod, socket: ProxySocket): Promise<void>;
  /** Forgets the pod, its key and its socket. */
  remove(uid: string): Promise<void>;
  status(): readonly AdsPodStatus[];
  stop(): Promise<void>;
}

export interface AdsPodStatus {
  readonly pod: string;
  readonly connectedToControl: boolean;
  readonly certificateExpiresAtMs: number | undefined;
  /** Streams of its proxy that are open. */
  readonly streams: number;
  readonly acknowledged: boolean;
}

export function startAds(host: AdsHost, options: AdsOptions): Ads {
  const { channel, lastState } = options;
  const shared = new SharedResources();
  const pods = new Map<string, Promise<ServedPod>>();
  /** A pod whose sandbox was made anew has another one. */
  const namespaces = new Map<string, string | undefined>();
  const ready = new Map<string, ServedPod>();
  const remove = async (uid: string): Promise<void> => {
    const served = pods.get(uid);
    pods.delete(uid);
    ready.delete(uid);
    await (await served?.catch(() => undefined))?.stop();
  };
  return {
    async add(pod, socket) {
      if (namespaces.get(pod.uid) !== socket.netns) await remove(pod.uid);
      namespaces.set(pod.uid, socket.netns);
      let served = pods.get(pod.uid);
      if (served === undefined) {
        served = servePod(host, { pod, socket, channel, shared, log: options.log, lastState });
        pods.set(pod.uid, served);
        served.then(
          (started) => void ready.set(pod.uid, started),
          () => pods.delete(pod.uid),
        );
      }
      await served;
    },
    async remove(uid) {
      namespaces.delete(uid);
      lastState?.forget(uid);
      await remove(uid);
    },
    status: () => [...ready.values()].map((pod) => pod.status()).toSorted((a, b) => (a.pod < b.pod ? -1 : 1)),
    async stop() {
      ready.clear();
      await lastState?.close();
      await Promise.all([...pods.keys()].map(remove));
      channel.close();
    },
  };
}

interface ServedPod {
  status(): AdsPodStatus;
  stop(): Promise<void>;
}

interface ServeOptions {
  readonly pod: AdsPod;
  readonly socket: ProxySocket;
  readonly channel: RpcChannel;
  readonly shared: SharedResources;
  readonly log: Log;
  readonly lastState: LastState | undefined;
}

async function servePod(host: AdsHost, { pod, socket, channel, shared, log, lastState }: ServeOptions): Promise<ServedPod> {
  const key = `${pod.namespace}/${pod.name}`;
  const metadata = `${key}/${pod.uid}`;
  const plans = new PodPlans();
  const changed = (): void => {
    plans.refresh(upstream, identity);
    lastState?.changed();
  };
  let xds: Xds | undefined;
  const former = lastState?.take(pod.uid, () => ({ types: upstream.types, identity: identity.saved }));
  const upstream: UpstreamPlan = new UpstreamPlan(host, {
    ...{ channel, pod: metadata, log, shared, changed },
    former: former?.types,
    proxyBusy: () => xds?.busy ?? false,
  });
  const identity: Identity = new Identity(host, {
    ...{ channel, pod: metadata, log, changed },
    former: former?.identity,
    namespace: pod.namespace,
    serviceAccount: pod.serviceAccount,
  });
  if (former !== undefined) plans.refresh(upstream, identity);
  xds = startXds(host, {
    plans,
    authorize: () => ({ proxy: key }),
    rejected(_, typeUrl, message) {
      log.warn("the proxy refused an update", { object: `Pod ${key}`, typeUrl, message });
      upstream.refused(typeUrl, message);
    },
    settled: () => upstream.settled(),
  });
  let server: RpcServer;
  try {
    // Who may connect to a file is said by its folder, which the pod runtime makes for the uid of this pod's proxy alone
    // (0700): a cluster of root runs proxies as other uids than ours. Pods' sandboxes have neither folder nor socket.
    const { path, ...where } = socket;
    server = await host.rpc.serve({ address: { path }, ...where, methods: xds.methods, mode: 0o666 });
  } catch (error) {
    upstream.stop();
    identity.stop();
    throw error;
  }
  return {
    status() {
      const streams = xds.status();
      return {
        pod: key,
        connectedToControl: upstream.connected,
        certificateExpiresAtMs: identity.expiresAtMs,
        streams: streams.length,
        acknowledged: streams.every(({ types }) => types.every((type) => type.acknowledged)),
      };
    },
    async stop() {
      upstream.stop();
      identity.stop();
      xds.stop();
      await server.close();
    },
  };
}

/** What control said and what this node adds, as one plan. */
class PodPlans {
  #plan: ProxyPlan = { resources: new Map() };
  readonly #listeners = new Set<() => void>();

  planOf(): ProxyPlan {
    return this.#plan;
  }

  onChange(changed: () => void) {
    this.#listeners.add(changed);
    return { close: () => void this.#listeners.delete(changed) };
  }

  refresh(upstream: UpstreamPlan, identity: Identity): void {
    const resources = new Map(upstream.types);
    // The pod's identity is ours to say, whatever control sends under its name; until it is there, who asks waits.
    if (identity.secrets === undefined) resources.delete(XDS_TYPES.secret);
    else resources.set(XDS_TYPES.secret, new Map([...(upstream.types.get(XDS_TYPES.secret) ?? []), ...identity.secrets]));
    this.#plan = { resources };
    for (const listener of this.#listeners) listener();
  }
}
