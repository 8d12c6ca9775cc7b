/** Watches: the changes of one kind as a stream of JSON lines, from a revision on, with bookmarks. */
import type { Clock, Timer } from "#host/clock.ts";
import type { HttpExchange, HttpStream } from "#host/http.ts";
import type { KubeObject } from "#model/object.ts";
import { byName, forbiddenOption, revisionOf } from "./listing.ts";
import { representation, type Form, type Representation } from "./represent.ts";
import type { Place } from "./registry.ts";
import type { Selection } from "./selection.ts";
import { ApiError } from "./status.ts";
import { withRevision, type Change, type Store } from "./store.ts";

/** A client that does not read gets its stream ended and lists anew. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
/** As Kubernetes' watch cache: often enough that a reconnecting client need not list. */
const BOOKMARK_MS = 30_000;
/** When the client does not ask; Kubernetes' is random between 30 and 60 minutes. */
const DEFAULT_TIMEOUT_SECONDS = 3000;

export interface WatchOptions {
  readonly place: Place;
  readonly selection: Selection;
  readonly form: Form;
  readonly query: URLSearchParams;
}

export class Watches {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #open = new Set<Watch>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Throws 410 Expired, before anything is answered, when the revision is too old. */
  start(exchange: HttpExchange, headers: Readonly<Record<string, string>>, options: WatchOptions): void {
    const plan = planOf(this.#store, options);
    const watch = new Watch(this.#store, this.#clock, options);
    this.#open.add(watch);
    const stream = exchange.stream(200, { ...headers, "content-type": "application/json" }, () => {
      this.#open.delete(watch);
      watch.stop();
    });
    watch.start(stream, plan);
  }

  stop(): void {
    for (const watch of this.#open) watch.end();
    this.#open.clear();
  }
}

interface Plan {
  readonly initial: readonly KubeObject[];
  readonly missed: readonly Change[];
  /** Say when the initial objects are complete (WatchList). */
  readonly marksInitial: boolean;
}

function planOf(store: Store, { place, selection, query }: WatchOptions): Plan {
  const revision = revisionOf(query.get("resourceVersion") ?? "");
  const asks = query.get("sendInitialEvents");
  const match = query.get("resourceVersionMatch") ?? "";
  if (asks === null && match !== "") throw forbiddenOption("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  if (asks !== null && match !== "NotOlderThan") throw forbiddenOption("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  const fromNow = revision === undefined || revision === 0;
  if (asks === "true" || (fromNow && asks !== "false")) {
    const initial = [...store.all(place.info.id)].filter(selection).toSorted(byName);
    return { initial, missed: [], marksInitial: asks === "true" };
  }
  if (fromNow) return { initial: [], missed: [], marksInitial: false };
  // A revision of the future is of another history (weft up --fresh): the client must list anew.
  const missed = revision > store.revision ? undefined : store.since(revision);
  if (missed === undefined) throw new ApiError("Expired", `too old resource version: ${revision} (${store.revision})`);
  return { initial: [], missed, marksInitial: false };
}

class Watch {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #options: WatchOptions;
  readonly #timers: Timer[] = [];
  #stream: HttpStream | undefined;
  #unwatch: (() => void) | undefined;

  constructor(store: Store, clock: Clock, options: WatchOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#options = options;
  }

  start(stream: HttpStream, plan: Plan): void {
    const { place, query } = this.#options;
    this.#stream = stream;
    const unseen = plan.missed.filter(({ kind }) => kind === place.info.id);
    for (const object of plan.initial) this.#send("ADDED", object);
    for (const change of unseen) this.#changed(change);
    if (plan.marksInitial) this.#bookmark(true);
    this.#unwatch = this.#store.watch((change) => {
      if (change.kind === place.info.id) this.#changed(change);
    });
    if (query.get("allowWatchBookmarks") === "true") this.#timers.push(this.#clock.every(BOOKMARK_MS, () => this.#bookmark(false)));
    const seconds = Number(query.get("timeoutSeconds") ?? DEFAULT_TIMEOUT_SECONDS);
    this.#timers.push(this.#clock.after((seconds > 0 ? seconds : DEFAULT_TIMEOUT_SECONDS) * 1000, () => this.end()));
    for (const timer of this.#timers) timer.unref();
  }

  /** The client went away. */
  stop(): void {
    this.#unwatch?.();
    for (const timer of this.#timers) timer.cancel();
    this.#stream = undefined;
  }

  end(): void {
    this.#stream?.end();
    this.stop();
  }

  /** An object that begins or ceases to match appears or disappears for this client. */
  #changed({ before, after, revision }: Change): void {
    const { selection } = this.#options;
    const was = before !== undefined && selection(before);
    const is = after !== undefined && selection(after);
    if (is) this.#send(was ? "MODIFIED" : "ADDED", after);
    else if (was) this.#send("DELETED", withRevision(before, revision));
  }

  #send(type: string, object: KubeObject): void {
    this.#write(type, this.#representation().one(object));
  }

  #representation(): Representation {
    const { form, place, query } = this.#options;
    return representation(form, place, { includeObject: query.get("includeObject"), now: this.#clock.now() });
  }

  #bookmark(endsInitial: boolean): void {
    const { place, form } = this.#options;
    const apiVersion = place.info.group === "" ? place.version : `${place.info.group}/${place.version}`;
    const annotations = endsInitial ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
    const metadata = { resourceVersion: String(this.#store.revision), creationTimestamp: null, ...annotations };
    if (form === "table") this.#write("BOOKMARK", { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata, columnDefinitions: null, rows: null });
    else this.#write("BOOKMARK", { kind: place.info.kind, apiVersion, metadata });
  }

  #write(type: string, object: unknown): void {
    if (this.#stream === undefined) return;
    this.#stream.write(`${JSON.stringify({ type, object })}\n`);
    if (this.#stream.bufferedBytes > MAX_BUFFERED_BYTES) this.end();
  }
}
