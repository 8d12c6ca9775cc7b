/** An API server of a few lines for tests of the installer: objects by path, lists by label, server-side apply as replacement. */
import { collectionPath, installKinds, objectPath } from "#compile/install/manifest.ts";
import type { HttpRequestOptions, HttpResponse } from "#host/http.ts";
import type { KubeObject } from "#model/object.ts";

export interface TestApi {
  readonly objects: Map<string, KubeObject>;
  /** "PATCH /api/v1/namespaces/weft-system", in order; reads are not written down. */
  readonly writes: string[];
  /** Answers to reads of paths that are no objects. */
  readonly pages: Map<string, unknown>;
  /** What becomes of an object when it is written: a controller's work. */
  controller: (object: KubeObject) => KubeObject;
  request(options: HttpRequestOptions): Promise<HttpResponse>;
}

export function testApi(): TestApi {
  const api: TestApi = {
    objects: new Map(),
    writes: [],
    pages: new Map(),
    controller: (object) => object,
    request: (options) => Promise.resolve(answer(api, options)),
  };
  return api;
}

function answer(api: TestApi, { method, url, body }: HttpRequestOptions): HttpResponse {
  const { pathname, searchParams } = new URL(url);
  if (method === "GET") {
    const found = api.pages.get(pathname) ?? api.objects.get(pathname) ?? listOf(api, pathname, searchParams.get("labelSelector"));
    return found === undefined ? response(404, { message: `${pathname} not found` }) : response(200, found);
  }
  api.writes.push(`${method} ${pathname}`);
  if (method === "DELETE") return response(api.objects.delete(pathname) ? 200 : 404, { message: "" });
  const sent = JSON.parse(String(body)) as KubeObject;
  const before = api.objects.get(pathname);
  // A merge patch says only what changes.
  const written = sent.kind === undefined ? merged(before, sent) : sent;
  api.objects.set(pathname, api.controller(written as KubeObject));
  return response(200, written);
}

function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const base = (before ?? {}) as Readonly<Record<string, unknown>>;
  return { ...base, ...Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, merged(base[key], value)])) };
}

function listOf({ objects }: TestApi, path: string, selector: string | null): unknown {
  const plural = path.slice(path.lastIndexOf("/") + 1);
  const [key = "", value] = (selector ?? "").split("=");
  const inside = [...objects].filter(([at]) => {
    const collection = at.slice(0, at.lastIndexOf("/"));
    return collection === path || (collection.endsWith(`/${plural}`) && collection.replace(/\/namespaces\/[^/]+\//, "/") === path);
  });
  if (inside.length === 0 && !KNOWN.test(path) && !installKinds.some((kind) => collectionPath(kind) === path)) return undefined;
  return { items: inside.map(([, object]) => object).filter(({ metadata }) => value === undefined || metadata.labels?.[key] === value) };
}

/** Kinds that are there and may have no object. */
const KNOWN = /\/(nodes|pods|services|events|endpointslices|servicecidrs|gatewayclasses|configmaps|secrets)$/;

export function put(api: TestApi, object: KubeObject, path = objectPath(object)): void {
  api.objects.set(path, object);
}

function response(status: number, body: unknown): HttpResponse {
  const text = JSON.stringify(body);
  return {
    status,
    headers: {},
    text: () => Promise.resolve(text),
    async *chunks() {
      yield new TextEncoder().encode(text);
    },
  } as HttpResponse;
}
