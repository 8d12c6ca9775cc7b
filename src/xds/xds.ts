/**
 * The xDS server: delivers each proxy's plan over aggregated discovery, delta or state of the world, to Weft's proxy, to
 * Envoy and to gRPC clients alike.
 *
 * Plans come from outside (`ProxyPlans`); this program neither compiles nor knows what a resource means. Who is at the
 * other end of a stream is decided by `authorize` from the caller's certificate and the agent's call metadata; the node
 * id in requests is never read. A stream ends when its caller does.
 *
 * It assumes that a plan's map of one type is the same object as long as nothing of that type changed, and resources the
 * same objects in all plans: then a change costs each stream a comparison of identities for types that did not change.
 */
import type { Host } from "#host/host.ts";
import { RPC_STATUS } from "#host/rpc.ts";
import type { RpcMethod, RpcServerCall } from "#host/rpc.ts";
import type { ProxyPlans } from "#model/plan/proxy-plan.ts";
import { delta, stateOfTheWorld } from "./dialect.ts";
import type { Dialect } from "./dialect.ts";
import { XdsStream } from "./stream.ts";
import type { Rejection } from "./subscription.ts";

export const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
export const DELTA_ADS = `${ADS}/DeltaAggregatedResources`;
export const STREAM_ADS = `${ADS}/StreamAggregatedResources`;

/** Secrets alone, for clients that are told to ask for them apart from the rest. */
const SDS = "/envoy.service.secret.v3.SecretDiscoveryService";
export const DELTA_SDS = `${SDS}/DeltaSecrets`;
const STREAM_SDS = `${SDS}/StreamSecrets`;

export interface XdsOptions {
  readonly plans: ProxyPlans;
  readonly authorize: (call: Pick<RpcServerCall, "metadata" | "peer">) => { readonly proxy: string } | { readonly refused: string };
  /** A proxy refused an update: `typeUrl` and Envoy's own words. */
  readonly rejected?: (proxy: string, typeUrl: string, message: string) => void;
  /** The first stream of a proxy opened, its last one closed. */
  readonly connected?: (proxy: string) => void;
  readonly disconnected?: (proxy: string) => void;
  /** After an answer no update is in flight on any stream. */
  readonly settled?: () => void;
}

export interface Xds {
  readonly methods: Readonly<Record<string, RpcMethod>>;
  /** One entry a stream, in order of proxy. */
  status(): readonly ProxyXdsStatus[];
  /** An update waits for its answer. */
  readonly busy: boolean;
  stop(): void;
}

export interface ProxyXdsStatus {
  readonly proxy: string;
  readonly types: readonly {
    readonly typeUrl: string;
    readonly resources: number;
    readonly acknowledged: boolean;
    readonly rejection: Rejection | undefined;
  }[];
}

export function startXds(host: Pick<Host, "clock">, options: XdsOptions): Xds {
  const streams = new Set<XdsStream>();
  const changes = options.plans.onChange(() => {
    for (const stream of streams) stream.push();
  });
  const busy = (): boolean => [...streams].some((stream) => stream.busy);
  const settle = (): void => {
    if (options.settled !== undefined && !busy()) options.settled();
  };
  const method =
    (dialect: Dialect): RpcMethod =>
    (call) => {
      const caller = options.authorize(call);
      if ("refused" in caller) {
        call.end(RPC_STATUS.permissionDenied, caller.refused);
        return { onMessage: () => undefined };
      }
      const stream = new XdsStream({
        dialect,
        call,
        proxy: caller.proxy,
        plan: () => options.plans.planOf(caller.proxy),
        nowMs: () => host.clock.now(),
        answered(from, typeUrl, rejection) {
          if (rejection !== undefined) options.rejected?.(from.proxy, typeUrl, rejection.message);
          settle();
        },
        closed(gone) {
          streams.delete(gone);
          if (![...streams].some((stream) => stream.proxy === gone.proxy)) options.disconnected?.(gone.proxy);
          settle();
        },
      });
      if (![...streams].some((other) => other.proxy === stream.proxy)) options.connected?.(stream.proxy);
      streams.add(stream);
      return stream;
    };
  return {
    methods: { [DELTA_ADS]: method(delta), [STREAM_ADS]: method(stateOfTheWorld), [DELTA_SDS]: method(delta), [STREAM_SDS]: method(stateOfTheWorld) },
    get busy() {
      return busy();
    },
    status: () =>
      [...streams]
        .toSorted((a, b) => (a.proxy < b.proxy ? -1 : 1))
        .map((stream) => ({
          proxy: stream.proxy,
          types: stream.subscriptions.map((of) => ({
            typeUrl: of.typeUrl,
            resources: of.count,
            acknowledged: of.inFlight === undefined && of.rejection === undefined,
            rejection: of.rejection,
          })),
        })),
    stop: () => changes.close(),
  };
}
