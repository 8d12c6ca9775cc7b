/**
 * What only the leader does: statuses of the mesh's kinds, its GatewayClasses, addresses of Gateways and of LoadBalancer
 * Services, the root's publication.
 */
import type { KeyPair } from "#ca/ca.ts";
import type { ApiClient } from "#client/client.ts";
import type { ObjectChange } from "#client/informer.ts";
import { apiWriter } from "#control/api-writer.ts";
import type { Controller, ControllerContext, Writer } from "#control/control-api.ts";
import { runControllers } from "#control/controller-runner.ts";
import { loadBalancers } from "#control/endpoints/load-balancers.ts";
import { eventRecorder } from "#control/events.ts";
import type { LiveWorld } from "#control/live-world.ts";
import { MeshStatuses } from "#control/mesh-status.ts";
import type { Host } from "#host/host.ts";
import { objectKey } from "#model/object.ts";
import type { Log } from "#run/log.ts";
import { keepCaBundle } from "./ca-bundle.ts";
import { gatewayAddresses } from "./gateway-addresses.ts";
import { ownGatewayClasses } from "./gateway-classes.ts";
import { meshKinds } from "./mesh-kinds.ts";

/** Of the installation. */
const WEBHOOK_CONFIGURATION = "weft-injector";

export interface LeaderWorkOptions {
  readonly api: ApiClient;
  readonly log: Log;
  readonly world: LiveWorld;
  readonly root: Promise<KeyPair>;
  readonly loadBalancerCIDR: string | undefined;
  readonly wrote: (kind: string) => void;
}

export interface LeaderWork {
  changed(changes: readonly ObjectChange[]): void;
  stop(): Promise<void>;
}

/** Begins with the World as it is: a new leader looks at everything once, and writes what the last one had no time for. */
export function startLeaderWork(host: Pick<Host, "clock" | "random">, options: LeaderWorkOptions): LeaderWork {
  const { api, log, world, loadBalancerCIDR } = options;
  const context: ControllerContext = {
    host,
    log,
    world,
    writer: counted(apiWriter(host, { api, world, log }), options.wrote),
    events: eventRecorder(host, { create: (event) => api.create("Event", event), patch: (event, patch) => api.patch("Event", event.metadata, patch) }, log),
  };
  const controllers: readonly Controller[] = [
    ownGatewayClasses,
    gatewayAddresses,
    ...(loadBalancerCIDR === undefined ? [] : [loadBalancers(loadBalancerCIDR)]),
  ];
  const running = runControllers(controllers, context);
  const statuses = new MeshStatuses(context);
  let bundle: ReturnType<typeof keepCaBundle> | undefined;
  let isStopped = false;
  void options.root.then(({ certificate }) => {
    if (!isStopped) bundle = keepCaBundle(host, { api, log, name: WEBHOOK_CONFIGURATION, root: certificate });
  });
  const changed = (changes: readonly ObjectChange[]): void => {
    statuses.apply(changes);
    running.changed(changes);
  };
  changed(
    [...meshKinds, "Secret" as const].flatMap((kind) =>
      world.all(kind).map((after) => ({ kind, key: objectKey(after), before: undefined, after }) as ObjectChange),
    ),
  );
  return {
    changed,
    async stop() {
      isStopped = true;
      await Promise.all([statuses.stop(), running.stop(), bundle?.stop()]);
    },
  };
}

function counted(writer: Writer, wrote: (kind: string) => void): Writer {
  return {
    ...writer,
    patchStatus(kind, object, status) {
      wrote(kind);
      return writer.patchStatus(kind, object, status);
    },
  };
}
