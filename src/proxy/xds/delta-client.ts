/**
 * Delta xDS client (incremental discovery): one stream, several types. It tells what it wants, applies what comes in the
 * order it comes, and answers each response: ACK, or NACK with the reasons. After a lost stream it connects again with
 * what it has (`initial_resource_versions`), so nothing is sent twice, and everything goes on meanwhile.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Node } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "#wire/envoy/gen/google/rpc/status_pb.ts";
import type { Clock, Timer } from "#host/clock.ts";
import type { StreamAddress } from "#host/net.ts";
import type { Random } from "#host/random.ts";
import type { Rpc, RpcChannel, RpcClientCall } from "#host/rpc.ts";
import type { Log } from "#run/log.ts";

export interface XdsType {
  readonly typeUrl: string;
  /** Everything of the type is wanted (LDS, CDS); else `names` says what. */
  readonly wildcard: boolean;
  /** Names wanted now. */
  names(): ReadonlySet<string>;
  /** Throws what is wrong with the resource. */
  set(resource: Any, version: string): void | Promise<void>;
  remove(name: string): void | Promise<void>;
}

export interface DeltaClientOptions {
  readonly rpc: Rpc;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly address: StreamAddress;
  readonly method: string;
  readonly node: Node | undefined;
  /** In the order in which they are subscribed. */
  readonly types: readonly XdsType[];
  readonly onUpdate: (outcome: "accepted" | "rejected") => void;
  readonly onConnected: (connected: boolean) => void;
}

interface TypeState {
  readonly type: XdsType;
  readonly versions: Map<string, string>;
  subscribed: Set<string>;
  /** A response has come since the program began. */
  answered: boolean;
  /** Names that have been answered (present or removed). */
  readonly known: Set<string>;
}

const OUTCOME_INVALID_ARGUMENT = 3;
const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A socket of this machine: nobody far away is spared by waiting, and its server is back within seconds. */
const RETRY_PIPE_MAX_MS = 2_000;

export class DeltaClient {
  readonly #options: DeltaClientOptions;
  readonly #states: TypeState[];
  #channel: RpcChannel | undefined;
  #call: RpcClientCall | undefined;
  #retry: Timer | undefined;
  #failures = 0;
  #stopped = false;
  #sentNode = false;
  /** Responses are applied one after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: DeltaClientOptions) {
    this.#options = options;
    this.#states = options.types.map((type) => ({ type, versions: new Map(), subscribed: new Set(), answered: false, known: new Set() }));
  }

  start(): void {
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#call?.cancel();
    this.#channel?.close();
  }

  /** Everything that was asked for has been answered at least once. */
  get complete(): boolean {
    return this.#states.every(({ type, answered, known }) => (type.wildcard ? answered : [...type.names()].every((name) => known.has(name))));
  }

  /** Tells the server what is wanted now, when that changed. */
  resubscribe(): void {
    if (this.#call === undefined) return;
    for (const state of this.#states) this.#subscribe(state, false);
  }

  #connect(): void {
    const { rpc, address, method } = this.#options;
    this.#channel ??= rpc.connect({ address });
    this.#sentNode = false;
    const call = this.#channel.call(
      method,
      {},
      {
        onMessage: (bytes) => {
          if (this.#failures > 0) this.#failures = 0;
          const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
          this.#work = this.#work.then(() => (this.#call === call ? this.#apply(response) : undefined));
        },
        onClose: ({ message }) => this.#lost(call, message),
      },
    );
    this.#call = call;
    this.#options.onConnected(true);
    for (const state of this.#states) this.#subscribe(state, true);
  }

  #lost(call: RpcClientCall, message: string): void {
    if (this.#call !== call) return;
    this.#call = undefined;
    this.#options.onConnected(false);
    if (this.#stopped) return;
    const { address, clock, random, log, method } = this.#options;
    const mostMs = "path" in address ? RETRY_PIPE_MAX_MS : RETRY_MAX_MS;
    const delayMs = Math.min(mostMs, RETRY_BASE_MS * 2 ** Math.min(this.#failures++, 10)) * (0.5 + random.next() / 2);
    log.warn(`xDS stream ${method} ended: ${message}; trying again in ${Math.round(delayMs)} ms`);
    this.#retry = clock.after(delayMs, () => this.#connect());
  }

  /** `first` on a stream: says what we have; later: only what changed. */
  #subscribe(state: TypeState, first: boolean): void {
    const wanted = state.type.wildcard ? new Set<string>() : state.type.names();
    if (first) {
      for (const name of state.versions.keys()) if (!state.type.wildcard && !wanted.has(name)) state.versions.delete(name);
      state.subscribed = new Set(wanted);
      if (!state.type.wildcard && wanted.size === 0) return;
      this.#send(state, { resourceNamesSubscribe: [...wanted].sort(), initialResourceVersions: Object.fromEntries(state.versions) });
      return;
    }
    const added = [...wanted].filter((name) => !state.subscribed.has(name)).sort();
    const dropped = [...state.subscribed].filter((name) => !wanted.has(name)).sort();
    if (added.length === 0 && dropped.length === 0) return;
    state.subscribed = new Set(wanted);
    for (const name of dropped) {
      state.versions.delete(name);
      state.known.delete(name);
    }
    this.#send(state, { resourceNamesSubscribe: added, resourceNamesUnsubscribe: dropped });
  }

  #send(
    state: TypeState,
    fields: {
      resourceNamesSubscribe?: string[];
      resourceNamesUnsubscribe?: string[];
      initialResourceVersions?: Record<string, string>;
      responseNonce?: string;
      error?: string;
    },
  ): void {
    const { error, ...rest } = fields;
    const { node } = this.#options;
    const withNode = this.#sentNode || node === undefined ? {} : { node };
    this.#sentNode = true;
    const errorDetail = error === undefined ? {} : { errorDetail: create(StatusSchema, { code: OUTCOME_INVALID_ARGUMENT, message: error }) };
    this.#call?.send(
      toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: state.type.typeUrl, ...withNode, ...rest, ...errorDetail })),
    );
  }

  async #apply(response: DeltaDiscoveryResponse): Promise<void> {
    const state = this.#states.find(({ type }) => type.typeUrl === response.typeUrl);
    if (state === undefined) return;
    const problems: string[] = [];
    for (const { name, resource, version } of response.resources) {
      state.known.add(name);
      try {
        if (resource === undefined) throw new Error("has no content");
        await state.type.set(resource, version);
        state.versions.set(name, version);
      } catch (error) {
        problems.push(`"${name}": ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    for (const name of response.removedResources) {
      state.known.add(name);
      state.versions.delete(name);
      await state.type.remove(name);
    }
    state.answered = true;
    const kind = response.typeUrl.slice(response.typeUrl.lastIndexOf(".") + 1);
    const error = problems.map((problem) => `${kind} ${problem}`).join("; ");
    if (error !== "") this.#options.log.warn(`refused configuration: ${error}`);
    // First what the response made us want (endpoints of new clusters): a server that hears the answer goes on to the routes.
    this.resubscribe();
    this.#send(state, { responseNonce: response.nonce, ...(error === "" ? {} : { error }) });
    this.#options.onUpdate(error === "" ? "accepted" : "rejected");
  }
}
