import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Pod } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";
import { required } from "#model/problem.ts";
import type { Admission } from "./admission.ts";
import { startTestServer, type Answer, type Caller, type Identity, type TestServer } from "./test-server.ts";

const tagged: Admission = (object, { kind, operation, warn }) => {
  if (kind !== "ConfigMap" || operation !== "CREATE") return object;
  if (object.metadata.name === "refused") return [required("data.reason", "say why")];
  warn("a hook looked at this");
  return { ...object, metadata: { ...object.metadata, labels: { ...object.metadata.labels, tagged: "yes" } } };
};

const podManifest = (name: string, spec: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name },
  spec: { containers: [{ name: "c", image: "i:1" }], ...spec },
});

describe("apiserver", () => {
  let server: TestServer;
  let nodeIdentity: Identity;

  const call: Caller = (...request) => server.call(...request);

  const pods = "/api/v1/namespaces/default/pods";
  const maps = "/api/v1/namespaces/default/configmaps";

  before(async () => {
    server = await startTestServer({ admission: [tagged] });
    nodeIdentity = await server.authority.issue("CN=system:node:n1,O=system:nodes");
    await call("POST", "/api/v1/nodes", { metadata: { name: "n1" }, status: { addresses: [{ type: "InternalIP", address: "127.0.0.1" }] } });
  });
  after(() => server.stop());

  test("who has no certificate, an expired one or one of another authority is told so", async () => {
    assert.equal((await call("GET", "/readyz", undefined, { as: {} })).status, 200);
    const anonymous = await call("GET", pods, undefined, { as: {} });
    assert.deepEqual([anonymous.status, anonymous.body["reason"]], [403, "Forbidden"]);
    const expired = await call("GET", pods, undefined, { as: await server.authority.issue("CN=late,O=system:masters", { expired: true }) });
    assert.deepEqual([expired.status, expired.body["message"]], [401, "Unauthorized: client certificate refused: certificate has expired"]);
    const unknown = await call("GET", pods, undefined, { as: await server.authority.issue("CN=bob") });
    assert.equal(unknown.body["message"], 'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"');
  });

  test("a node reads what it compiles from and writes only what is its own", async () => {
    await call("POST", "/api/v1/namespaces/default/secrets", { metadata: { name: "used" }, stringData: { a: "b" } });
    await call("POST", "/api/v1/namespaces/default/secrets", { metadata: { name: "other" } });
    await call("POST", pods, podManifest("mine", { nodeName: "n1", volumes: [{ name: "v", secret: { secretName: "used" } }] }));
    await call("POST", pods, podManifest("foreign", { nodeName: "n2" }));
    const as = nodeIdentity;
    const status = async (method: string, path: string, body?: unknown, type?: string) =>
      (await call(method, path, body, { as, ...(type === undefined ? {} : { type }) })).status;
    const merge = "application/merge-patch+json";
    assert.equal(await status("GET", "/api/v1/services"), 200);
    assert.equal(await status("GET", "/api/v1/namespaces/default/secrets/used"), 200);
    assert.equal(await status("GET", "/api/v1/namespaces/default/secrets/other"), 403);
    assert.equal(await status("GET", "/api/v1/secrets"), 403);
    assert.equal(await status("PATCH", `${pods}/mine/status`, { status: { phase: "Running" } }, merge), 200);
    assert.equal(await status("PATCH", `${pods}/foreign/status`, { status: { phase: "Running" } }, merge), 403);
    assert.equal(await status("PATCH", `${pods}/mine`, { metadata: { labels: { a: "b" } } }, merge), 403);
    assert.equal(await status("POST", "/api/v1/nodes", { metadata: { name: "n9" } }), 403);
    assert.equal(await status("PATCH", "/api/v1/nodes/n1/status", { status: { phase: "x" } }, merge), 200);
    assert.equal(await status("DELETE", `${pods}/mine?gracePeriodSeconds=0`), 200);
    await call("DELETE", `${pods}/foreign?gracePeriodSeconds=0`);
  });

  test("admission hooks change, warn and refuse", async () => {
    const made = await call("POST", maps, { metadata: { name: "hooked" } });
    assert.equal(made.body["metadata"]?.["labels"]?.["tagged"], "yes");
    assert.equal(made.headers["warning"], '299 - "a hook looked at this"');
    const refused = await call("POST", maps, { metadata: { name: "refused" } });
    assert.equal(refused.body["message"], 'ConfigMap "refused" is invalid: data.reason: Required value: say why');
    await call("DELETE", `${maps}/hooked`);
  });

  test("a pod of a node is deleted in two steps, one without a node at once", async () => {
    await call("POST", pods, podManifest("graceful", { nodeName: "n1", terminationGracePeriodSeconds: 7 }));
    const marked = await call("DELETE", `${pods}/graceful`);
    assert.equal(marked.body["metadata"]?.["deletionGracePeriodSeconds"], 7);
    assert.equal((await call("GET", `${pods}/graceful`)).status, 200);
    await call("DELETE", `${pods}/graceful`, { gracePeriodSeconds: 0 });
    assert.equal((await call("GET", `${pods}/graceful`)).status, 404);
    await call("POST", pods, podManifest("loose"));
    await call("DELETE", `${pods}/loose`);
    assert.equal((await call("GET", `${pods}/loose`)).status, 404);
  });

  test("a pod is bound once and gets the default account", async () => {
    const made = (await call("POST", pods, { ...podManifest("x"), metadata: { generateName: "x-" } })).body as unknown as Pod;
    assert.match(made.metadata.name, /^x-[a-z0-9]{5}$/);
    assert.equal(made.spec.serviceAccountName, "default");
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { name: made.metadata.name }, target: { kind: "Node", name: "n1" } };
    assert.equal((await call("POST", `${pods}/${made.metadata.name}/binding`, binding)).status, 201);
    assert.equal((await call("POST", `${pods}/${made.metadata.name}/binding`, binding)).status, 409);
    const list = await call("GET", `${pods}?fieldSelector=spec.nodeName%3Dn1`);
    assert.deepEqual(
      (list.body["items"] as unknown as KubeObject[]).map(({ metadata }) => metadata.name),
      [made.metadata.name],
    );
    await call("DELETE", `${pods}/${made.metadata.name}?gracePeriodSeconds=0`);
  });

  test("finalizers hold an object until the last one is gone", async () => {
    await call("POST", maps, { metadata: { name: "held", finalizers: ["example.org/hold"] } });
    await call("DELETE", `${maps}/held`);
    const held = await call("GET", `${maps}/held`);
    assert.ok(held.body["metadata"]?.["deletionTimestamp"]);
    await call("PATCH", `${maps}/held`, { metadata: { finalizers: null } }, { type: "application/merge-patch+json" });
    assert.equal((await call("GET", `${maps}/held`)).status, 404);
  });

  test("status and object are written apart, and generation counts only the spec", async () => {
    const path = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
    const spec = { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] };
    const made = await call("POST", path, { metadata: { name: "v" }, spec, status: { observedGeneration: 9 } });
    assert.equal(made.body["status"], undefined);
    const merge = { type: "application/merge-patch+json" };
    await call("PATCH", `${path}/v/status`, { spec: { hosts: ["b"] }, status: { observedGeneration: 1 } }, merge);
    await call("PATCH", `${path}/v`, { status: { observedGeneration: 2 }, metadata: { labels: { a: "b" } } }, merge);
    const { body } = await call("GET", "/apis/networking.istio.io/v1alpha3/namespaces/default/virtualservices/v");
    assert.equal(body["apiVersion"], "networking.istio.io/v1alpha3");
    assert.deepEqual([body["status"]?.["observedGeneration"], body["metadata"]?.["generation"], body["spec"]?.["hosts"]?.[0]], [1, 1, "a"]);
    await call("DELETE", `${path}/v`);
  });

  test("addresses and node ports of Services are never given twice", async () => {
    const services = "/api/v1/namespaces/default/services";
    const make = (name: string, spec: object) => call("POST", services, { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } });
    const first = await make("s1", { type: "NodePort" });
    const { clusterIP, ports } = first.body["spec"] as unknown as { clusterIP: string; ports: { nodePort: number }[] };
    const address = await make("s2", { clusterIP });
    assert.match(String(address.body["message"]), /spec\.clusterIPs: Invalid value: .*provided IP is already allocated/);
    const taken = await make("s3", { type: "NodePort", ports: [{ port: 80, nodePort: ports[0]?.nodePort }] });
    assert.match(String(taken.body["message"]), /spec\.ports\[0\]\.nodePort: Invalid value: \d+: provided port is already allocated/);
    const far = await make("s4", { type: "NodePort", ports: [{ port: 80, nodePort: 80 }] });
    assert.match(String(far.body["message"]), /The range of valid ports is 30000-32767/);
    const kept = await call("PUT", `${services}/s1`, { metadata: { name: "s1" }, spec: { type: "NodePort", ports: [{ port: 80 }] } });
    assert.deepEqual(kept.body["spec"]?.["clusterIP"], clusterIP);
    assert.equal(kept.body["spec"]?.["ports"]?.[0]?.["nodePort"], ports[0]?.nodePort);
    await call("DELETE", `${services}/s1`);
  });

  test("a Service that changes its type keeps nothing of the old one", async () => {
    const services = "/api/v1/namespaces/default/services";
    await call("POST", services, { metadata: { name: "turns" }, spec: { type: "LoadBalancer", ports: [{ port: 80 }] } });
    const become = async (spec: object) => {
      const { status, body } = await call("PATCH", `${services}/turns`, { spec }, { type: "application/merge-patch+json" });
      assert.equal(status, 200, String(body["message"]));
      return Object.keys(body["spec"] ?? {}).toSorted();
    };
    const always = ["ports", "sessionAffinity", "type"];
    const addressed = ["clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy", ...always];
    assert.deepEqual(await become({ type: "NodePort" }), ["externalTrafficPolicy", ...addressed].toSorted());
    assert.deepEqual(await become({ type: "ClusterIP" }), addressed.toSorted());
    assert.deepEqual(await become({ type: "ExternalName", externalName: "a.example.org" }), ["externalName", ...always].toSorted());
    assert.deepEqual(await become({ type: "ClusterIP", externalName: null }), addressed.toSorted());
    await call("DELETE", `${services}/turns`);
  });

  test("a list in pages shows one moment", async () => {
    for (const name of ["p1", "p2", "p3", "p4"]) await call("POST", maps, { metadata: { name, labels: { paged: "y" } } });
    const first = await call("GET", `${maps}?labelSelector=paged%3Dy&limit=2`);
    await call("DELETE", `${maps}/p3`);
    const token = String(first.body["metadata"]?.["continue"]);
    const second = await call("GET", `${maps}?labelSelector=paged%3Dy&limit=2&continue=${token}`);
    const names = (answer: Answer) => (answer.body["items"] as unknown as KubeObject[]).map(({ metadata }) => metadata.name);
    assert.deepEqual([...names(first), ...names(second)], ["p1", "p2", "p3", "p4"]);
    assert.equal((await call("GET", `${maps}?limit=2&continue=nonsense`)).status, 400);
    const stale = Buffer.from(JSON.stringify({ v: "weft", id: 999, rv: 1 })).toString("base64url");
    const expired = await call("GET", `${maps}?limit=2&continue=${stale}`);
    assert.equal(expired.status, 410);
    assert.equal(expired.body["reason"], "Expired");
  });

  test("a watch shows what begins and ceases to match, and ends in time", async () => {
    const { body } = await call("GET", maps);
    const revision = String(body["metadata"]?.["resourceVersion"]);
    await call("POST", maps, { metadata: { name: "w", labels: { on: "y" } } });
    await call("PATCH", `${maps}/w`, { metadata: { labels: { on: "n" } } }, { type: "application/merge-patch+json" });
    const watched = await call("GET", `${maps}?watch=1&labelSelector=on%3Dy&resourceVersion=${revision}&timeoutSeconds=1`);
    const events = String(watched.body)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    assert.deepEqual(
      events.map(({ type }) => type),
      ["ADDED", "DELETED"],
    );
    assert.equal(
      (await call("GET", `${maps}?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`)).status,
      200,
    );
    const ahead = await call("GET", `${maps}?watch=1&resourceVersion=999999999`);
    assert.equal(ahead.status, 410, "a revision of another history");
    const initial = await call(
      "GET",
      `${maps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&fieldSelector=metadata.name%3Dw&timeoutSeconds=1`,
    );
    const lines = String(initial.body).trim().split("\n");
    assert.match(lines[0] ?? "", /^\{"type":"ADDED",.*"name":"w"/);
    assert.match(lines[1] ?? "", /^\{"type":"BOOKMARK",.*"k8s.io\/initial-events-end":"true"/);
  });

  test("YAML bodies are read, broken ones and unknown formats refused in words", async () => {
    const made = await call("POST", maps, "metadata: {name: yaml}\ndata:\n  a: b\n", { type: "application/yaml" });
    assert.equal(made.body["data"]?.["a"], "b");
    assert.match(String((await call("POST", maps, "a: [", { type: "application/yaml" })).body["message"]), /error converting YAML to JSON/);
    assert.equal((await call("POST", maps, "{", {})).status, 400);
    assert.equal((await call("POST", maps, "x", { type: "text/plain" })).status, 415);
    const wrong = await call("POST", "/apis/apps/v1/namespaces/default/deployments", { metadata: { name: "d" }, spec: { replicas: "three" } });
    assert.match(String(wrong.body["message"]), /json: cannot unmarshal string into Go struct field DeploymentSpec\.spec\.replicas of type int32/);
    assert.equal((await call("GET", "/api/v1/nothing")).status, 404);
  });
});
