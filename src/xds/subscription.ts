/**
 * What one client of one stream wants of one type, what it has, and so what it must be sent. Knows neither the wire
 * format nor which variant of the protocol (delta or state of the world) the stream speaks.
 */
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";

export type Resources = ReadonlyMap<string, EncodedResource>;

/** A request of either variant, as far as subscriptions are concerned. */
export interface SubscriptionChange {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Of delta streams: what the client kept from an earlier stream. */
  readonly initialVersions: Readonly<Record<string, string>>;
}

export interface Update {
  readonly upserts: readonly EncodedResource[];
  readonly removed: readonly string[];
}

export interface Rejection {
  readonly message: string;
  readonly atMs: number;
}

const WILDCARD = "*";
/** Types whose first request without names asks for everything (xDS protocol, "legacy wildcard"). */
const WILDCARD_TYPES: readonly string[] = [XDS_TYPES.cluster, XDS_TYPES.listener];

export class Subscription {
  readonly typeUrl: string;
  readonly #names = new Set<string>();
  #wildcard = false;
  #first = true;
  /** Sent even when the client should have it: the protocol says that who asks by name is answered. */
  readonly #owed = new Set<string>();
  /** A client that asked for everything waits for an answer, even an empty one. */
  #owesAnswer = false;
  /** Version that the client has (or rejected: what it refused is not sent again until it changes). */
  readonly #sent = new Map<string, string>();
  #settled: Resources | undefined;
  inFlight: string | undefined;
  lastNonce = "";
  rejection: Rejection | undefined;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  get count(): number {
    return this.#sent.size;
  }

  change(change: SubscriptionChange): void {
    if (this.#first) {
      this.#first = false;
      for (const [name, version] of Object.entries(change.initialVersions)) this.#sent.set(name, version);
      if (change.subscribe.length === 0 && WILDCARD_TYPES.includes(this.typeUrl)) this.#becomeWildcard();
      for (const name of change.subscribe) this.#add(name, name in change.initialVersions);
      return;
    }
    for (const name of change.unsubscribe) {
      if (name === WILDCARD) this.#wildcard = false;
      else this.#names.delete(name);
      if (!this.wants(name)) this.#sent.delete(name);
      this.#owed.delete(name);
    }
    for (const name of change.subscribe) this.#add(name, false);
    this.#settled = undefined;
  }

  /** The names of a state-of-the-world request replace those before. */
  replace(names: readonly string[]): void {
    const gone = [...this.#names].filter((name) => !names.includes(name));
    const added = names.filter((name) => !this.#names.has(name) && !(name === WILDCARD && this.#wildcard));
    if (this.#first || gone.length > 0 || added.length > 0) this.change({ subscribe: added, unsubscribe: gone, initialVersions: {} });
  }

  wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name);
  }

  /** What to send now; undefined: nothing. With `keep`, what is gone stays with the client for the time being. */
  next(resources: Resources, keep: boolean): Update | undefined {
    const owes = this.#owed.size > 0 || this.#owesAnswer;
    if (resources === this.#settled && !owes) return undefined;
    const upserts: EncodedResource[] = [];
    const consider = (resource: EncodedResource): void => {
      if (this.#sent.get(resource.name) !== resource.version || this.#owed.has(resource.name)) upserts.push(resource);
    };
    const removed: string[] = [];
    if (this.#wildcard) for (const resource of resources.values()) consider(resource);
    else {
      for (const name of this.#names) {
        const resource = resources.get(name);
        if (resource !== undefined) consider(resource);
      }
    }
    // Who asked for a name that does not exist is told so.
    for (const name of this.#owed) if (!resources.has(name)) removed.push(name);
    const gone = [...this.#sent.keys()].filter((name) => !resources.has(name) && !this.#owed.has(name));
    if (!keep) removed.push(...gone);
    if (upserts.length === 0 && removed.length === 0 && !this.#owesAnswer) {
      if (gone.length === 0) this.#settled = resources;
      return undefined;
    }
    return { upserts, removed };
  }

  /** The update of `next` was sent under this nonce. */
  wasSent(update: Update, nonce: string): void {
    for (const resource of update.upserts) this.#sent.set(resource.name, resource.version);
    for (const name of update.removed) this.#sent.delete(name);
    this.#owed.clear();
    this.#owesAnswer = false;
    this.inFlight = nonce;
    this.lastNonce = nonce;
  }

  /** True when the nonce is that of the update in flight. */
  wasAnswered(nonce: string, rejection: Rejection | undefined): boolean {
    if (nonce === "" || nonce !== this.inFlight) return false;
    this.inFlight = undefined;
    this.rejection = rejection;
    return true;
  }

  #add(name: string, has: boolean): void {
    if (name === WILDCARD) return this.#becomeWildcard();
    this.#names.add(name);
    if (!has) this.#owed.add(name);
  }

  #becomeWildcard(): void {
    this.#wildcard = true;
    this.#owesAnswer = true;
  }
}
