import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Namespace, Pod } from "#model/core.ts";
import { chooseInjection, EMBEDDED, injectProxy as inject } from "./inject.ts";
import { proxyKindOf } from "./proxy-kind.ts";

const injectProxy = (given: Pod, namespace: Namespace | undefined): Pod => inject(given, namespace, EMBEDDED).pod;

const enabled: Namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "default", labels: { "istio-injection": "enabled" } } };
const plain: Namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } };
const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "reviews-1", namespace: "default", labels: { app: "reviews", version: "v2" } },
  spec: { containers: [{ name: "reviews", image: "reviews" }] },
};
const having = (metadata: Partial<Pod["metadata"]>, spec: Partial<Pod["spec"]> = {}): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, ...metadata },
  spec: { ...pod.spec, ...spec },
});

describe("injection", () => {
  const cases: { name: string; pod: Pod; namespace: Namespace | undefined; want: string | undefined }[] = [
    { name: "a namespace that opted in", pod, namespace: enabled, want: "sidecar" },
    { name: "a namespace that did not", pod, namespace: plain, want: undefined },
    { name: "a namespace that is not there", pod, namespace: undefined, want: undefined },
    { name: "a pod that opts out by annotation", pod: having({ annotations: { "sidecar.istio.io/inject": "false" } }), namespace: enabled, want: undefined },
    { name: "a pod that opts out by label", pod: having({ labels: { "sidecar.istio.io/inject": "false" } }), namespace: enabled, want: undefined },
    { name: "a pod that opts in by annotation", pod: having({ annotations: { "sidecar.istio.io/inject": "true" } }), namespace: plain, want: "sidecar" },
    {
      name: "a label that contradicts the annotation (the label counts)",
      pod: having({ labels: { "sidecar.istio.io/inject": "true" }, annotations: { "sidecar.istio.io/inject": "false" } }),
      namespace: plain,
      want: "sidecar",
    },
    { name: "a pod in the host's network", pod: having({}, { hostNetwork: true }), namespace: enabled, want: undefined },
    {
      name: "a system namespace",
      pod: having({ namespace: "kube-system", annotations: { "sidecar.istio.io/inject": "true" } }),
      namespace: enabled,
      want: undefined,
    },
    {
      name: "a gateway",
      pod: having({ labels: { "sidecar.istio.io/inject": "true" }, annotations: { "inject.istio.io/templates": "gateway" } }),
      namespace: plain,
      want: "gateway",
    },
  ];
  for (const { name, pod: given, namespace, want } of cases) {
    it(`${name}: ${want ?? "no proxy"}`, () => {
      assert.equal(chooseInjection(given, namespace).inject, want);
      const stored = injectProxy(given, namespace);
      assert.equal(proxyKindOf(stored), want);
      if (want === undefined) assert.equal(stored, given);
    });
  }

  it("says on the pod what it added, and adds it once", () => {
    const stored = injectProxy(pod, enabled);
    assert.deepEqual(
      stored.spec.containers.map((container) => container.name),
      ["istio-proxy", "reviews"],
    );
    assert.deepEqual(stored.metadata.labels, {
      "service.istio.io/canonical-name": "reviews",
      "service.istio.io/canonical-revision": "v2",
      "security.istio.io/tlsMode": "istio",
      app: "reviews",
      version: "v2",
    });
    assert.deepEqual(JSON.parse(stored.metadata.annotations?.["sidecar.istio.io/status"] ?? "").containers, ["istio-proxy"]);
    assert.equal(stored.metadata.annotations?.["kubectl.kubernetes.io/default-container"], "reviews");
    assert.equal(injectProxy(stored, enabled), stored);
  });

  it("keeps what a user sets on the proxy's container, but neither its image nor its command", () => {
    const own = { name: "istio-proxy", image: "auto", command: ["/bin/sh"], args: ["-c", "id"], env: [{ name: "A", value: "b" }] };
    const [proxy] = injectProxy(having({ annotations: { "inject.istio.io/templates": "gateway" } }, { containers: [own] }), enabled).spec.containers;
    assert.equal(proxy?.image, "weft/proxy");
    assert.equal(proxy?.command, undefined);
    assert.deepEqual(proxy?.args, ["proxy", "router"]);
    assert.deepEqual(proxy?.env, own.env);
  });
});
