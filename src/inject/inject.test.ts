import assert from "node:assert/strict";
import { it } from "node:test";
import { applyJsonPatch } from "#apiserver/patch/json-patch.ts";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Namespace, Pod } from "#model/core.ts";
import { silentLog } from "#run/log.ts";
import { startInjector, type InjectorAnswer } from "./inject.ts";

interface Response {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: string;
  readonly status?: { readonly code: number; readonly message: string };
}

const namespaces: Readonly<Record<string, Namespace>> = {
  meshed: { apiVersion: "v1", kind: "Namespace", metadata: { name: "meshed", labels: { "istio-injection": "enabled" } } },
  plain: { apiVersion: "v1", kind: "Namespace", metadata: { name: "plain" } },
};

async function scene(
  play: (
    ask: (body: unknown, more?: { method?: string; path?: string }) => Promise<{ status: number; text: string }>,
    answers: InjectorAnswer[],
  ) => Promise<void>,
): Promise<void> {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const root = await newMeshRoot(host);
  const tls = await issueKeyPair(host, root, { dnsNames: ["weft-control.weft-system.svc"], usages: ["server"], lifetimeMs: 3_600_000 });
  const answers: InjectorAnswer[] = [];
  await world.drive(
    (async () => {
      await startInjector(host, {
        address: { ip: "192.0.2.1", port: 15017 },
        tls,
        form: { kind: "kubernetes", image: "localhost/weft:test" },
        namespaceOf: (name) => (name === "away" ? Promise.reject(new Error("the API server is away")) : Promise.resolve(namespaces[name])),
        log: silentLog,
        answered: (how) => void answers.push(how),
      });
      await play(async (body, { method = "POST", path = "/inject" } = {}) => {
        const response = await host.http.request({
          method,
          url: `https://192.0.2.1:15017${path}`,
          tls: { ca: root.certificate, serverName: "weft-control.weft-system.svc" },
          ...(method === "GET" ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        });
        return { status: response.status, text: await response.text() };
      }, answers);
    })(),
  );
}

const review = (namespace: string, pod: object, more: object = {}) => ({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "u1", operation: "CREATE", namespace, resource: { group: "", version: "v1", resource: "pods" }, object: pod, ...more },
});
const pod = (spec: object = {}, metadata: object = { name: "a" }) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata,
  spec: { containers: [{ name: "app", image: "x", anything: "kept" }], ...spec },
});
const responseIn = (text: string): Response => (JSON.parse(text) as { response: Response }).response;

it("a pod of a namespace of the mesh gets the proxy by a patch, and keeps what we do not know", () =>
  scene(async (ask, answers) => {
    const sent = pod({}, { generateName: "a-" });
    const { status, text } = await ask(review("meshed", sent));
    const { uid, allowed, patch = "" } = responseIn(text);
    assert.deepEqual([status, uid, allowed, answers], [200, "u1", true, ["injected"]]);
    const injected = applyJsonPatch(sent, JSON.parse(Buffer.from(patch, "base64").toString())) as Pod;
    assert.deepEqual(injected.spec.containers, sent.spec.containers);
    assert.deepEqual(
      injected.spec.initContainers?.map(({ name }) => name),
      ["istio-proxy"],
    );
    assert.equal("namespace" in injected.metadata, false);
    const again = responseIn((await ask(review("meshed", injected))).text);
    assert.deepEqual([again.allowed, again.patch], [true, undefined], "called again it changes nothing");
  }));

it("others are left alone", () =>
  scene(async (ask, answers) => {
    const bodies = [
      review("plain", pod()),
      review("unknown", pod()),
      review("meshed", pod({ hostNetwork: true })),
      review("meshed", pod(), { operation: "UPDATE" }),
      review("meshed", { apiVersion: "v1", kind: "Pod", metadata: {}, spec: {} }),
      review("meshed", { kind: "Service" }, { resource: { group: "", version: "v1", resource: "services" } }),
    ];
    for (const body of bodies) {
      const response = responseIn((await ask(body)).text);
      assert.deepEqual([response.allowed, response.patch], [true, undefined]);
    }
    assert.deepEqual(new Set(answers), new Set(["left alone"]));
  }));

it("a pod that could pass for its proxy is refused with the field's name, also when it gets a container later", () =>
  scene(async (ask) => {
    const { allowed, status } = responseIn((await ask(review("meshed", pod({ securityContext: { runAsUser: 1337 } })))).text);
    assert.equal(allowed, false);
    assert.equal(status?.code, 422);
    assert.match(status?.message ?? "", /spec\.securityContext\.runAsUser: Forbidden/);
    const debugged = pod({ initContainers: [{ name: "istio-proxy" }], ephemeralContainers: [{ name: "debug", securityContext: { runAsUser: 1337 } }] });
    const later = responseIn((await ask(review("meshed", debugged, { operation: "UPDATE", subResource: "ephemeralcontainers" }))).text);
    assert.match(later.status?.message ?? "", /spec\.ephemeralContainers\[0\]\.securityContext\.runAsUser/);
  }));

it("a pod that is not injected may not bring a proxy of its own", () =>
  scene(async (ask) => {
    const own = { containers: [{ name: "istio-proxy", image: "x" }] };
    const refused = [review("plain", pod(own)), review("meshed", pod(own, { name: "a", labels: { "sidecar.istio.io/inject": "false" } }))];
    for (const each of refused) assert.match(responseIn((await ask(each)).text).status?.message ?? "", /spec\.containers\[0\]\.name: Forbidden/);
    for (const each of [review("meshed", pod(own)), review("plain", pod({ ...own, hostNetwork: true }))])
      assert.equal(responseIn((await ask(each)).text).allowed, true);
  }));

it("what fails is refused in words, and never without an answer", () =>
  scene(async (ask, answers) => {
    const { allowed, status } = responseIn((await ask(review("away", pod()))).text);
    assert.deepEqual([allowed, status?.code, answers], [false, 500, ["failed"]]);
    assert.match(status?.message ?? "", /the API server is away; a pod with the label/);
    const hostile = responseIn((await ask(review("meshed", pod({ containers: [null, 7, { securityContext: "no" }] })))).text);
    assert.equal(typeof hostile.allowed, "boolean");
  }));

it("bodies that are no reviews are answered with what is wrong", () =>
  scene(async (ask, answers) => {
    for (const body of [
      "",
      "{",
      "[]",
      "null",
      "{}",
      '{"apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"x"}}',
      '{"apiVersion":"admission.k8s.io/v1","request":{}}',
    ]) {
      assert.equal((await ask(body)).status, 400, body);
    }
    assert.equal((await ask("", { method: "GET" })).status, 405);
    assert.equal((await ask("", { path: "/" })).status, 404);
    assert.equal((await ask("x".repeat(3 * 1024 * 1024 + 1))).status, 413);
    assert.deepEqual(new Set(answers), new Set(["malformed"]));
  }));
