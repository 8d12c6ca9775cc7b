/** What is served on 15012: xDS and the CA, to callers that are agents of the nodes whose pods they speak for. */
import { certificateService, meshCa } from "#ca/ca.ts";
import type { KeyPair } from "#ca/ca.ts";
import type { RpcMethod, RpcServerCall } from "#host/rpc.ts";
import type { Host } from "#host/host.ts";
import { objectKey } from "#model/object.ts";
import type { WorldReader } from "#model/world.ts";
import type { Log } from "#run/log.ts";
import { startXds } from "#xds/xds.ts";
import type { Xds } from "#xds/xds.ts";
import { callerOf, type NodeAnswer } from "./callers.ts";
import type { MeshPlans } from "./mesh-plans.ts";

export interface MeshDoorsOptions {
  readonly world: WorldReader;
  readonly plans: MeshPlans;
  readonly log: Log;
  readonly meshRoot: KeyPair;
  readonly nodeOf: (call: Pick<RpcServerCall, "metadata" | "peer">) => NodeAnswer;
  /** A proxy refused an update. */
  readonly rejected?: () => void;
}

export interface MeshDoors {
  readonly methods: Readonly<Record<string, RpcMethod>>;
  readonly xds: Xds;
}

export function meshDoors(host: Pick<Host, "clock" | "random">, options: MeshDoorsOptions): MeshDoors {
  const { world, plans, log, meshRoot, nodeOf, rejected } = options;
  const xds = startXds(host, {
    plans,
    authorize(call) {
      const caller = callerOf(world, call, nodeOf(call));
      return "refused" in caller ? caller : { proxy: objectKey(caller.pod) };
    },
    rejected(proxy, typeUrl, message) {
      rejected?.();
      log.error("a proxy refused an update", { object: `Pod ${proxy}`, typeUrl, message });
    },
    connected: (proxy) => plans.follow(proxy),
    disconnected: (proxy) => plans.unfollow(proxy),
  });
  const ca = certificateService(meshCa(host, meshRoot), (call) => {
    const caller = callerOf(world, call, nodeOf(call));
    if ("refused" in caller) return caller;
    const { pod } = caller;
    return { namespace: pod.metadata.namespace ?? "", serviceAccount: pod.spec.serviceAccountName ?? "default" };
  });
  return { methods: { ...xds.methods, ...ca }, xds };
}
