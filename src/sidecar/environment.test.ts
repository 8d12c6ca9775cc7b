import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { injectProxy } from "#compile/inject/inject.ts";
import type { Pod } from "#model/core.ts";
import { readEnvironment, type Environment } from "./environment.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "reviews-1", namespace: "default", labels: { app: "reviews" }, annotations: { "sidecar.istio.io/inject": "true" } },
  spec: { containers: [{ name: "app", livenessProbe: { tcpSocket: { port: 9080 } } }] },
};
const FIELDS: Readonly<Record<string, string>> = {
  "metadata.name": "reviews-1",
  "metadata.namespace": "default",
  "metadata.uid": "u1",
  "status.podIP": "10.244.0.5",
  "spec.serviceAccountName": "bookinfo-reviews",
};

/** As kubelet makes it of what injection wrote. */
function injected(): Record<string, string> {
  const { pod: stored } = injectProxy(pod, undefined, { kind: "kubernetes", image: "weft:test" });
  const env = stored.spec.initContainers?.[0]?.env ?? [];
  return Object.fromEntries(env.map(({ name, value, valueFrom }) => [name, value ?? FIELDS[valueFrom?.fieldRef?.fieldPath ?? ""] ?? ""]));
}

describe("what injection says to a sidecar", () => {
  it("is understood by it", () => {
    const { identity, probes } = readEnvironment(injected());
    assert.equal(identity.kind, "sidecar");
    assert.equal(identity.podIP, "10.244.0.5");
    assert.equal(identity.serviceAccount, "bookinfo-reviews");
    assert.equal(identity.labels["service.istio.io/canonical-name"], "reviews");
    assert.deepEqual(probes, { "/app-health/app/livez": { tcpSocket: { port: 9080 }, timeoutSeconds: 1 } });
  });

  const broken: readonly [string, Environment, RegExp][] = [
    ["nothing", {}, /WEFT_PROXY_KIND is not set; containers that Weft's webhook injects have it/],
    ["another kind", { ...injected(), WEFT_PROXY_KIND: "waypoint" }, /WEFT_PROXY_KIND is "waypoint"; it must be sidecar or gateway/],
    ["no address", { ...injected(), POD_IP: "" }, /POD_IP is not set/],
    ["labels that are none", { ...injected(), WEFT_POD_LABELS: "[]" }, /WEFT_POD_LABELS is not a JSON object/],
    ["probes that are none", { ...injected(), WEFT_APP_PROBES: '{"/a":{"timeoutSeconds":1}}' }, /WEFT_APP_PROBES: .*not what injection writes/],
  ];
  for (const [what, env, message] of broken) it(`is refused by name: ${what}`, () => assert.throws(() => readEnvironment(env), { message }));
});
