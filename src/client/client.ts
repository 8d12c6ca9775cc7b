/**
 * Client of a Kubernetes API server, Weft's own or a real one: typed reads and writes of the kinds that Weft knows, and
 * plain requests for the rest. Watches are in watch.ts; keeping a whole World current in informer.ts; where a server is
 * and who we are to it in kubeconfig.ts. It opens nothing itself: requests go through Host.http.
 */
import type { Host } from "#host/host.ts";
import type { HttpResponse } from "#host/http.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { asRead, withKind } from "./as-read.ts";
import { ApiRefusal, isNotFound, statusOf } from "./api-error.ts";
import type { ApiAccess } from "./kubeconfig.ts";
import { collectionOf, pathOf } from "./paths.ts";
import { allPages, type Page, type Query } from "./pages.ts";
import { watchEvents, type WatchEvent, type WatchOptions } from "./watch.ts";

export interface ObjectName {
  readonly name: string;
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string | undefined;
}

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface Listed<T> {
  readonly items: readonly T[];
  /** To watch from. */
  readonly resourceVersion: string;
}

export interface WriteOptions {
  readonly dryRun?: boolean;
  readonly fieldManager?: string;
  readonly fieldValidation?: "Ignore" | "Warn" | "Strict";
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
  /** Only this very object. */
  readonly uid?: string;
}

export interface PatchOptions extends WriteOptions {
  /** Default "merge" (RFC 7386). */
  readonly type?: "merge" | "json" | "strategic";
  readonly subresource?: "status" | "scale";
}

export interface ApplyOptions {
  readonly manager: string;
  /** Take over fields that others set to something else; default true. */
  readonly force?: boolean;
  readonly subresource?: "status";
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly contentType?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Every method rejects with ApiRefusal when the server refuses, and with HostError when it does not answer. */
export interface ApiClient {
  get<K extends KindId>(kind: K, name: string, namespace?: string): Promise<Kinds[K]>;
  /** undefined when it is not there. */
  find<K extends KindId>(kind: K, name: string, namespace?: string): Promise<Kinds[K] | undefined>;
  list<K extends KindId>(kind: K, options?: ListOptions): Promise<Listed<Kinds[K]>>;
  /** Ends when the server ends it; throws ApiRefusal (410: list again) or HostError. Abort the signal to stop. */
  watch<K extends KindId>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<Kinds[K]>>;
  create<K extends KindId>(kind: K, object: Kinds[K], options?: WriteOptions): Promise<Kinds[K]>;
  /** With resourceVersion in its metadata it conflicts when the object has changed. */
  update<K extends KindId>(kind: K, object: Kinds[K], options?: WriteOptions): Promise<Kinds[K]>;
  updateStatus<K extends KindId>(kind: K, object: Kinds[K], options?: WriteOptions): Promise<Kinds[K]>;
  patch<K extends KindId>(kind: K, target: ObjectName, patch: unknown, options?: PatchOptions): Promise<Kinds[K]>;
  /** Server-side apply of all that `manager` wants. */
  apply<K extends KindId>(kind: K, object: Kinds[K], options: ApplyOptions): Promise<Kinds[K]>;
  /** What is gone already is fine. */
  delete<K extends KindId>(kind: K, target: ObjectName, options?: DeleteOptions): Promise<void>;
  bind(pod: ObjectName, nodeName: string): Promise<void>;
  request(method: string, path: string, options?: RequestOptions): Promise<HttpResponse>;
}

export interface ConnectOptions extends ApiAccess {
  readonly host: Pick<Host, "http">;
  /** Names this program in managedFields and in the server's log: "weft-control". */
  readonly userAgent?: string;
  /** Called for each Warning header. */
  readonly onWarning?: (text: string) => void;
}

const patchTypes = { merge: "application/merge-patch+json", json: "application/json-patch+json", strategic: "application/strategic-merge-patch+json" } as const;

/** A request that gets no answer at all by then has failed; watches and logs have no such limit. */
const TIMEOUT_MS = 30_000;

export function connectApi(options: ConnectOptions): ApiClient {
  return new Client(options);
}

class Client implements ApiClient {
  readonly #options: ConnectOptions;

  constructor(options: ConnectOptions) {
    this.#options = options;
  }

  async get<K extends KindId>(kind: K, name: string, namespace?: string): Promise<Kinds[K]> {
    return asRead(kind, await this.#json<Kinds[K]>("GET", pathOf(kind, { name, namespace })));
  }

  async find<K extends KindId>(kind: K, name: string, namespace?: string): Promise<Kinds[K] | undefined> {
    try {
      return await this.get(kind, name, namespace);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async list<K extends KindId>(kind: K, { namespace, labelSelector, fieldSelector }: ListOptions = {}): Promise<Listed<Kinds[K]>> {
    const request = (query: Query): Promise<Page<Kinds[K]>> =>
      this.#json("GET", collectionOf(kind, namespace), { query: { labelSelector, fieldSelector, ...query } });
    const { items, metadata } = await allPages(request);
    return { items: items.map((item) => asRead(kind, item)), resourceVersion: metadata.resourceVersion };
  }

  watch<K extends KindId>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<Kinds[K]>> {
    const events = watchEvents<Kinds[K]>((method, path, more) => this.request(method, path, more), collectionOf(kind, options.namespace), options);
    return readEvents(kind, events);
  }

  create<K extends KindId>(kind: K, object: Kinds[K], options?: WriteOptions): Promise<Kinds[K]> {
    return this.#json("POST", collectionOf(kind, object.metadata.namespace), { body: withKind(kind, object), query: writeQuery(options) });
  }

  update<K extends KindId>(kind: K, object: Kinds[K], options?: WriteOptions): Promise<Kinds[K]> {
    return this.#json("PUT", pathOf(kind, nameOf(object)), { body: withKind(kind, object), query: writeQuery(options) });
  }

  updateStatus<K extends KindId>(kind: K, object: Kinds[K], options?: WriteOptions): Promise<Kinds[K]> {
    return this.#json("PUT", `${pathOf(kind, nameOf(object))}/status`, { body: withKind(kind, object), query: writeQuery(options) });
  }

  patch<K extends KindId>(kind: K, target: ObjectName, patch: unknown, { type = "merge", subresource, ...write }: PatchOptions = {}): Promise<Kinds[K]> {
    const path = `${pathOf(kind, target)}${subresource === undefined ? "" : `/${subresource}`}`;
    return this.#json("PATCH", path, { body: patch, contentType: patchTypes[type], query: writeQuery(write) });
  }

  apply<K extends KindId>(kind: K, object: Kinds[K], { manager, force = true, subresource }: ApplyOptions): Promise<Kinds[K]> {
    const path = `${pathOf(kind, nameOf(object))}${subresource === undefined ? "" : `/${subresource}`}`;
    const query = { fieldManager: manager, force: String(force) };
    return this.#json("PATCH", path, { body: withKind(kind, object), contentType: "application/apply-patch+yaml", query });
  }

  async delete<K extends KindId>(kind: K, target: ObjectName, { gracePeriodSeconds, propagationPolicy, uid }: DeleteOptions = {}): Promise<void> {
    const preconditions = uid === undefined ? undefined : { uid };
    const body = { kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds, propagationPolicy, preconditions };
    try {
      await this.#json("DELETE", pathOf(kind, target), { body });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async bind(pod: ObjectName, nodeName: string): Promise<void> {
    const body = { apiVersion: "v1", kind: "Binding", metadata: pod, target: { apiVersion: "v1", kind: "Node", name: nodeName } };
    await this.#json("POST", `${pathOf("Pod", pod)}/binding`, { body });
  }

  async request(
    method: string,
    path: string,
    { query = {}, body, contentType = "application/json", timeoutMs, signal }: RequestOptions = {},
  ): Promise<HttpResponse> {
    const { host, url, token, userAgent = "weft", onWarning } = this.#options;
    const tls = await this.#tls();
    const search = new URLSearchParams(Object.entries(query).filter((each): each is [string, string] => each[1] !== undefined)).toString();
    const response = await host.http.request({
      method,
      url: `${url}${path}${search === "" ? "" : `?${search}`}`,
      headers: {
        accept: "application/json",
        "user-agent": userAgent,
        ...(body === undefined ? {} : { "content-type": contentType }),
        ...(token === undefined ? {} : { authorization: `Bearer ${await token()}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(tls === undefined ? {} : { tls }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (onWarning !== undefined) for (const text of warningsOf(response.headers["warning"])) onWarning(text);
    if (response.status >= 400) throw new ApiRefusal(`${method} ${path}`, statusOf(response.status, await response.text()));
    return response;
  }

  async #tls(): Promise<ApiAccess["tls"]> {
    const { tls, ca } = this.#options;
    return ca === undefined ? tls : { ...tls, ca: await ca() };
  }

  async #json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.request(method, path, { timeoutMs: TIMEOUT_MS, ...options });
    return JSON.parse(await response.text()) as T;
  }
}

/** A bookmark has no object to speak of. */
async function* readEvents<K extends KindId>(kind: K, events: AsyncIterable<WatchEvent<Kinds[K]>>): AsyncGenerator<WatchEvent<Kinds[K]>> {
  for await (const event of events) yield event.type === "BOOKMARK" ? event : { ...event, object: asRead(kind, event.object) };
}

export function nameOf(object: KubeObject): ObjectName {
  return { name: object.metadata.name, namespace: object.metadata.namespace };
}

function writeQuery({ dryRun, fieldManager, fieldValidation }: WriteOptions = {}): Readonly<Record<string, string | undefined>> {
  return { dryRun: dryRun === true ? "All" : undefined, fieldManager, fieldValidation };
}

/** `299 - "text", 299 - "another"` (RFC 7234 5.5, as Kubernetes uses it). */
export function warningsOf(header: string | undefined): readonly string[] {
  return [...(header ?? "").matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map((found) => (found[1] ?? "").replaceAll(/\\(.)/g, "$1"));
}
