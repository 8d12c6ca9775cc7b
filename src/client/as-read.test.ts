import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpRequestOptions, HttpResponse } from "#host/http.ts";
import { connectApi } from "./client.ts";

const SLICE = { metadata: { name: "web-1", namespace: "shop", resourceVersion: "7" }, addressType: "IPv4", endpoints: null };
const WHOLE = { ...SLICE, apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", endpoints: [], ports: [] };

/** A server that knows one slice, as one written in Go says it. */
function answer({ url }: HttpRequestOptions): HttpResponse {
  const { pathname, searchParams } = new URL(url);
  const body = searchParams.has("watch")
    ? { type: "ADDED", object: SLICE }
    : pathname.endsWith("/endpointslices")
      ? { metadata: { resourceVersion: "7" }, items: [SLICE] }
      : SLICE;
  const text = `${JSON.stringify(body)}\n`;
  return {
    status: 200,
    headers: {},
    text: () => Promise.resolve(text),
    async *chunks() {
      yield new TextEncoder().encode(text);
    },
  };
}

test("an object is the same whether it was listed, asked for or watched: lists that the server calls null are empty", async () => {
  const http = { request: (options: HttpRequestOptions) => Promise.resolve(answer(options)) };
  const api = connectApi({ host: { http } as never, url: "http://192.0.2.1" });
  assert.deepEqual((await api.list("EndpointSlice")).items, [WHOLE]);
  assert.deepEqual(await api.get("EndpointSlice", "web-1", "shop"), WHOLE);
  for await (const { object } of api.watch("EndpointSlice", { resourceVersion: "7" })) assert.deepEqual(object, WHOLE);
});

test("whose certificates the server's must be signed by is asked before each request", async () => {
  const roots: (string | undefined)[] = [];
  const http = {
    request(options: HttpRequestOptions) {
      roots.push(options.tls?.ca);
      return Promise.resolve(answer(options));
    },
  };
  let root = "first";
  const api = connectApi({ host: { http } as never, url: "https://192.0.2.1", tls: { serverName: "kubernetes" }, ca: async () => root });
  await api.list("EndpointSlice");
  root = "second";
  await api.list("EndpointSlice");
  assert.deepEqual(roots, ["first", "second"]);
});
