/**
 * One ADS stream. A push goes type by type and the next type waits until the last was answered: a proxy gets clusters and
 * their endpoints before the listeners and routes that use them, and loses clusters only after (make before break). While
 * an update is in flight changes gather; the answer sends what is then different. There is no timer.
 */
import { RPC_STATUS } from "#host/rpc.ts";
import type { RpcReceiver, RpcServerCall } from "#host/rpc.ts";
import type { EncodedResource, ProxyPlan } from "#model/plan/proxy-plan.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import type { Dialect, XdsRequest } from "./dialect.ts";
import { Subscription } from "./subscription.ts";
import type { Rejection, Update } from "./subscription.ts";

/** First what others refer to. Types that are not here come after these. */
const PUSH_ORDER: readonly string[] = [XDS_TYPES.secret, XDS_TYPES.cluster, XDS_TYPES.endpoints, XDS_TYPES.listener, XDS_TYPES.routes];
/** Kept until everything that may refer to them was sent. */
const REMOVED_LAST: readonly string[] = [XDS_TYPES.cluster, XDS_TYPES.endpoints];

export interface StreamOptions {
  readonly dialect: Dialect;
  readonly proxy: string;
  readonly call: RpcServerCall;
  readonly plan: () => ProxyPlan | undefined;
  readonly nowMs: () => number;
  /** The client answered an update; `rejection` when it refused it. */
  readonly answered: (stream: XdsStream, typeUrl: string, rejection: Rejection | undefined) => void;
  readonly closed: (stream: XdsStream) => void;
}

export class XdsStream implements RpcReceiver {
  readonly proxy: string;
  readonly #options: StreamOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  /** What the client has of each type: a state of the world repeats it, even what is gone and not yet removed. */
  readonly #current = new Map<string, Map<string, EncodedResource>>();
  #nonce = 0;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.proxy = options.proxy;
  }

  get busy(): boolean {
    return this.subscriptions.some((subscription) => subscription.inFlight !== undefined);
  }

  get subscriptions(): readonly Subscription[] {
    return [...this.#subscriptions.values()];
  }

  onMessage(message: Uint8Array): void {
    const { dialect, call, nowMs, answered } = this.#options;
    let request: XdsRequest;
    try {
      request = dialect.parse(message);
    } catch (error) {
      return call.end(RPC_STATUS.invalidArgument, `not a ${dialect.name} discovery request: ${String(error)}`);
    }
    if (request.typeUrl === "") return call.end(RPC_STATUS.invalidArgument, "discovery request: type_url is empty; an aggregated stream needs it");
    let subscription = this.#subscriptions.get(request.typeUrl);
    if (subscription === undefined) this.#subscriptions.set(request.typeUrl, (subscription = new Subscription(request.typeUrl)));
    const rejection = request.error === undefined ? undefined : { message: request.error, atMs: nowMs() };
    const wasAnswer = subscription.wasAnswered(request.nonce, rejection);
    request.subscribe(subscription);
    this.push();
    if (wasAnswer) answered(this, request.typeUrl, rejection);
  }

  onEnd(): void {
    this.#options.call.end();
  }

  onClose(): void {
    this.#options.closed(this);
  }

  /** Sends what is different now, as far as nothing is in flight. */
  push(): void {
    const plan = this.#options.plan();
    // The pod is gone or not known yet: what the proxy has stays.
    if (plan === undefined) return;
    for (const subscription of this.#ordered()) {
      if (subscription.inFlight !== undefined) return;
      const resources = plan.resources.get(subscription.typeUrl);
      if (resources === undefined) continue;
      if (this.#send(subscription, subscription.next(resources, REMOVED_LAST.includes(subscription.typeUrl)))) return;
    }
    for (const typeUrl of REMOVED_LAST) {
      const subscription = this.#subscriptions.get(typeUrl);
      const resources = plan.resources.get(typeUrl);
      if (subscription !== undefined && resources !== undefined && this.#send(subscription, subscription.next(resources, false))) return;
    }
  }

  #ordered(): Subscription[] {
    const rank = (subscription: Subscription): number => {
      const index = PUSH_ORDER.indexOf(subscription.typeUrl);
      return index < 0 ? PUSH_ORDER.length : index;
    };
    return this.subscriptions.toSorted((a, b) => rank(a) - rank(b));
  }

  #send(subscription: Subscription, update: Update | undefined): boolean {
    if (update === undefined) return false;
    const { typeUrl } = subscription;
    const nonce = String(++this.#nonce);
    const current = this.#current.get(typeUrl) ?? new Map<string, EncodedResource>();
    this.#current.set(typeUrl, current);
    for (const name of current.keys()) if (!subscription.wants(name)) current.delete(name);
    for (const name of update.removed) current.delete(name);
    for (const resource of update.upserts) current.set(resource.name, resource);
    // Sorted, so that a version does not depend on the history of the stream.
    const sorted = [...current.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    subscription.wasSent(update, nonce);
    this.#options.call.send(this.#options.dialect.encode(typeUrl, nonce, update, sorted));
    return true;
  }
}
