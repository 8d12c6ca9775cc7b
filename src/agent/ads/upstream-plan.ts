/**
 * One pod's plan as the control plane last said it: a delta ADS client that keeps everything it was sent. What the pod's
 * proxy gets is served from here, so a proxy that restarts while the control plane is away still finds its config.
 *
 * An update is acknowledged when the proxy has answered it (at once when no proxy is connected), with the proxy's own
 * words when it refused: the control plane sees acknowledgements of proxies, not of agents, and its order of updates
 * (make before break) reaches the proxy.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Host } from "#host/host.ts";
import type { Timer } from "#host/clock.ts";
import type { RpcChannel, RpcClientCall } from "#host/rpc.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import type { Log } from "#run/log.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";

const DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** Secrets too: those of gateways' listeners. Identities are this node's own (identity.ts). */
const TYPES: readonly string[] = [XDS_TYPES.secret, XDS_TYPES.cluster, XDS_TYPES.endpoints, XDS_TYPES.listener, XDS_TYPES.routes];

/** The first retry comes at once for a person, the last seldom enough for a control plane that starts. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

export interface UpstreamOptions {
  readonly channel: RpcChannel;
  /** Says which pod it is: "namespace/name/uid". Control checks it against the node's certificate. */
  readonly pod: string;
  readonly log: Log;
  /** Resources of all pods of this node: what two pods see is kept and encoded once. */
  readonly shared: SharedResources;
  /** What a former agent was last told. */
  readonly former?: ReadonlyMap<string, ReadonlyMap<string, EncodedResource>> | undefined;
  /** Something was applied. */
  readonly changed: () => void;
  /** A proxy has not answered all yet. */
  readonly proxyBusy: () => boolean;
}

export class SharedResources {
  readonly #resources = new Map<string, WeakRef<EncodedResource>>();

  of(typeUrl: string, resource: EncodedResource): EncodedResource {
    const key = `${typeUrl}\0${resource.name}\0${resource.version}`;
    const known = this.#resources.get(key)?.deref();
    if (known !== undefined) return known;
    this.#resources.set(key, new WeakRef(resource));
    return resource;
  }
}

export class UpstreamPlan {
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #options: UpstreamOptions;
  readonly #types = new Map<string, ReadonlyMap<string, EncodedResource>>();
  #call: RpcClientCall | undefined;
  /** Applied, and waiting for the proxy. At most one: control waits for the answer before it sends more that matters. */
  readonly #unanswered: { typeUrl: string; nonce: string }[] = [];
  readonly #refusals = new Map<string, string>();
  #retryMs = FIRST_RETRY_MS;
  #retry: Timer | undefined;
  #stopped = false;

  constructor(host: Pick<Host, "clock" | "random">, options: UpstreamOptions) {
    this.#host = host;
    this.#options = options;
    for (const [typeUrl, named] of options.former ?? []) {
      this.#types.set(typeUrl, new Map([...named].map(([name, resource]) => [name, options.shared.of(typeUrl, resource)])));
    }
    this.#connect();
  }

  /** Type url -> name -> resource; types that control has not answered yet are absent. */
  get types(): ReadonlyMap<string, ReadonlyMap<string, EncodedResource>> {
    return this.#types;
  }

  get connected(): boolean {
    return this.#call !== undefined && this.#retryMs === FIRST_RETRY_MS;
  }

  /** The proxy refused the update of this type that it was last sent; control hears of it if it waits for that answer. */
  refused(typeUrl: string, message: string): void {
    if (this.#unanswered.some((update) => update.typeUrl === typeUrl)) this.#refusals.set(typeUrl, message);
  }

  /** The proxy has answered everything: so can we. */
  settled(): void {
    for (const { typeUrl, nonce } of this.#unanswered.splice(0)) {
      const refusal = this.#refusals.get(typeUrl);
      this.#refusals.delete(typeUrl);
      // INVALID_ARGUMENT, as Envoy itself answers.
      this.#send({ typeUrl, responseNonce: nonce, ...(refusal === undefined ? {} : { errorDetail: { code: 3, message: refusal } }) });
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#call?.cancel();
  }

  #connect(): void {
    const { channel, pod, log } = this.#options;
    const call = channel.call(
      DELTA_ADS,
      { "weft-pod": pod },
      {
        onMessage: (message) => this.#receive(message),
        onClose: (status) => {
          if (this.#stopped) return;
          this.#call = undefined;
          this.#unanswered.length = 0;
          // Between half and all of it, so that the pods of a node do not come back together.
          const delayMs = this.#retryMs * (0.5 + this.#host.random.next() / 2);
          log.debug("lost the control plane's stream", { object: `Pod ${pod}`, status: status.code, message: status.message, againMs: Math.round(delayMs) });
          this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
          this.#retry = this.#host.clock.after(delayMs, () => this.#connect());
        },
      },
    );
    this.#call = call;
    for (const typeUrl of TYPES) {
      const known = [...(this.#types.get(typeUrl)?.values() ?? [])];
      const initialResourceVersions = Object.fromEntries(known.map((resource) => [resource.name, resource.version]));
      this.#send({ typeUrl, resourceNamesSubscribe: ["*"], initialResourceVersions });
    }
  }

  #send(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    this.#call?.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
  }

  #receive(message: Uint8Array): void {
    const { shared, changed, proxyBusy } = this.#options;
    const response = fromBinary(DeltaDiscoveryResponseSchema, message);
    const { typeUrl, nonce } = response;
    const next = new Map(this.#types.get(typeUrl) ?? []);
    for (const name of response.removedResources) next.delete(name);
    for (const { name, version, resource } of response.resources) {
      if (resource !== undefined) next.set(name, shared.of(typeUrl, { name, version, bytes: resource.value }));
    }
    this.#retryMs = FIRST_RETRY_MS;
    this.#types.set(typeUrl, next);
    this.#unanswered.push({ typeUrl, nonce });
    changed();
    if (!proxyBusy()) this.settled();
  }
}
