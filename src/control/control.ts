/**
 * The control plane of an embedded cluster: controllers (Deployments to Pods, scheduling, EndpointSlices, LoadBalancer addresses,
 * node lifecycle ...), the mesh's CA, and xDS for every proxy.
 *
 * It talks to the API server through its client alone, whether that server is Weft's own in the same process or a real
 * one. All resources are followed into one World; each change goes to the controllers (as keys of their reconcile loops)
 * and to the mesh compiler (as inputs of its derivations). The doors on 15012, xDS and the CA, open only when the World is
 * complete: a proxy must never get a plan of half a mesh. Who calls there is decided by callers.ts.
 *
 * Nothing here is state: a control plane that starts again reads the World and goes on; proxies and pods do not notice.
 */
import type { KeyPair } from "#ca/ca.ts";
import type { ApiClient } from "#client/client.ts";
import { followWorld } from "#client/informer.ts";
import type { ObjectChange } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { StreamAddress } from "#host/net.ts";
import type { RpcServeOptions, RpcServer } from "#host/rpc.ts";
import type { RuntimeConfig } from "#model/config.ts";
import { kindIds } from "#model/kinds.ts";
import type { WorldReader } from "#model/world.ts";
import type { Log } from "#run/log.ts";
import type { Xds } from "#xds/xds.ts";
import { apiWriter } from "./api-writer.ts";
import type { Controller } from "./control-api.ts";
import { nodeOfCertificate } from "./callers.ts";
import { runControllers } from "./controller-runner.ts";
import { deployments } from "./deployment/deployments.ts";
import { endpointSlices } from "./endpoints/endpoint-slices.ts";
import { loadBalancers } from "./endpoints/load-balancers.ts";
import { expireEvents } from "./event-expiry.ts";
import { eventRecorder } from "./events.ts";
import { LiveWorld } from "./live-world.ts";
import { meshDoors } from "./mesh-doors.ts";
import { MeshStatuses } from "./mesh-status.ts";
import { MeshPlans } from "./mesh-plans.ts";
import { rootCertificates } from "./namespaces.ts";
import { nodeLifecycle } from "./node/node-lifecycle.ts";
import { podGarbage } from "./node/pod-garbage.ts";
import { scheduler } from "./node/scheduler.ts";
import { replicaSets } from "./replica-set/replica-sets.ts";
import { ensureFirstObjects } from "./start/ensure.ts";

export { startKubernetesControl } from "./kubernetes/kubernetes-control.ts";

export type ControlHost = Pick<Host, "clock" | "random" | "rpc">;

export interface ControlOptions {
  readonly api: ApiClient;
  readonly config: Pick<RuntimeConfig, "dnsAddress" | "loadBalancerCIDR" | "nodes">;
  readonly log: Log;
  /** 15012. */
  readonly xdsAddress: StreamAddress;
  /** Control's own certificate and the cluster's CA, by which agents are known; absent only in simulations. */
  readonly tls: RpcServeOptions["tls"];
  /** PEM of the cluster's CA, for pods. */
  readonly clusterCa: string;
  /** The root of the mesh. */
  readonly meshRoot: KeyPair;
}

export interface Control {
  /** As last heard; empty until `ready`. */
  readonly world: WorldReader;
  /** Resolves when the World is complete and the doors on 15012 are open. */
  readonly ready: Promise<void>;
  status(): ReturnType<Xds["status"]>;
  stop(): Promise<void>;
}

export function startControl(host: ControlHost, options: ControlOptions): Control {
  const { api, config, log } = options;
  const world = new LiveWorld();
  const plans = new MeshPlans();
  const writer = apiWriter(host, { api, world, log });
  const events = eventRecorder(
    host,
    {
      create: (event) => api.create("Event", event),
      patch: (event, patch) => api.patch("Event", event.metadata, patch),
    },
    log,
  );
  const context = { host, log, world, writer, events };
  const statuses = new MeshStatuses(context);
  const controllers = runControllers(allControllers(options), context);
  const changed = (changes: readonly ObjectChange[]): void => {
    for (const { kind, before, after } of changes) {
      if (after !== undefined) world.set(kind, after);
      else if (before !== undefined) world.delete(kind, before);
    }
    plans.apply(changes);
    statuses.apply(changes);
    controllers.changed(changes);
  };
  const followed = followWorld(
    api,
    kindIds.filter((kind) => kind !== "Event"),
    { host, changed, onTrouble: (kind, error) => log.warn("cannot follow a kind and will try again", { object: kind, error }) },
  );
  const doors = meshDoors(host, { world, plans, log, meshRoot: options.meshRoot, nodeOf: nodeOfCertificate });
  const expiry = expireEvents(host, api, log);

  let server: RpcServer | undefined;
  const open = async (): Promise<void> => {
    await Promise.all([ensureFirstObjects(api, config), followed.ready]);
    const { xdsAddress: address, tls } = options;
    server = await host.rpc.serve({ address, methods: doors.methods, ...(tls === undefined ? {} : { tls }) });
    log.info("xDS and the CA are open", { address: server.address });
  };
  return {
    world,
    ready: open(),
    status: () => doors.xds.status(),
    async stop() {
      expiry.stop();
      await server?.close();
      doors.xds.stop();
      followed.stop();
      await Promise.all([controllers.stop(), statuses.stop()]);
    },
  };
}

function allControllers({ config, clusterCa }: ControlOptions): readonly Controller[] {
  return [deployments, replicaSets, scheduler, endpointSlices, loadBalancers(config.loadBalancerCIDR), rootCertificates(clusterCa), nodeLifecycle, podGarbage];
}
