/** Install, upgrade and uninstall against an API server of a few lines, whose controllers are done at once or never. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crdName } from "#compile/install/crds.ts";
import { INSTALLATION, objectPath, type Manifest } from "#compile/install/manifest.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { KINDS } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { CliError, type CliContext, type Terminal } from "#cli/context.ts";
import { isNewer, parseInventory } from "./apply.ts";
import { install, type InstallOptions } from "./install.ts";
import { put, testApi, type TestApi } from "./test-api.ts";
import { uninstall } from "./uninstall.ts";

const KUBECONFIG = `
current-context: a
clusters: [{name: c, cluster: {server: "https://192.168.0.1:6443"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: a, context: {cluster: c, user: u}}]
`;

const options: InstallOptions = { profile: "full", image: "example.org/weft:1", set: [], wait: true, timeout: 60, kubeconfig: "/kubeconfig" };

/** Controllers that have done their work when the object is written. */
function atOnce(object: KubeObject): KubeObject {
  const conditions = [{ type: "Established", status: "True" }];
  switch (object.kind) {
    case "CustomResourceDefinition":
      return { ...object, status: { conditions } } as KubeObject;
    case "Deployment":
      return { ...object, status: { updatedReplicas: 9, availableReplicas: 9 } } as KubeObject;
    case "DaemonSet":
      return { ...object, status: { desiredNumberScheduled: 1, updatedNumberScheduled: 1, numberReady: 1 } } as KubeObject;
    case "MutatingWebhookConfiguration":
      return { ...object, webhooks: [{ clientConfig: { caBundle: "AAAA" } }] } as KubeObject;
    default:
      return object;
  }
}

function cluster(): TestApi {
  const api = testApi();
  api.controller = atOnce;
  api.pages.set("/version", { gitVersion: "v1.35.4" });
  api.pages.set("/apis/networking.k8s.io/v1/servicecidrs", { items: [{ spec: { cidrs: ["172.30.0.0/16"] } }] });
  const ready = { conditions: [{ type: "Ready", status: "True" }] };
  put(api, { apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, spec: { podCIDR: "10.0.1.0/24" }, status: ready } as KubeObject, "/api/v1/nodes/n1");
  return api;
}

interface Told {
  readonly status: number;
  readonly out: string;
}

async function run(api: TestApi, command: (context: CliContext) => Promise<number>): Promise<Told> {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "laptop" });
  await world.drive(host.files.writeAtomic("/kubeconfig", KUBECONFIG));
  let out = "";
  const terminal = { out: (text: string) => void (out += text), env: {}, onSignal: () => ({ release: () => undefined }) } as unknown as Terminal;
  const context: CliContext = { host: { ...host, http: { ...host.http, request: (asked) => api.request(asked) } }, terminal };
  let status = 0;
  await world.drive(command(context).then((code) => void (status = code)));
  return { status, out };
}

const installOn = (api: TestApi, more: Partial<InstallOptions> = {}): Promise<Told> => run(api, (context) => install(context, { ...options, ...more }));
const uninstallOn = (api: TestApi, crds = false): Promise<Told> =>
  run(api, (context) => uninstall(context, { wait: true, crds, timeout: 60, kubeconfig: "/kubeconfig" }));
const left = (api: TestApi): readonly string[] => [...api.objects.keys()].filter((path) => !path.startsWith("/api/v1/nodes/"));

describe("weft install --wait", () => {
  test("applies namespaces first and the gateway's pods last, and says what is there", async () => {
    const api = cluster();
    const { status, out } = await installOn(api);
    assert.equal(status, 0);
    assert.equal(api.writes[0], "PATCH /api/v1/namespaces/weft-system");
    assert.equal(api.writes.at(-1), "PATCH /apis/apps/v1/namespaces/istio-system/deployments/istio-ingressgateway");
    assert.match(out, /profile full, pods 10\.0\.0\.0\/16, services 172\.30\.0\.0\/16, DNS 172\.30\.0\.10/);
    assert.match(out, /control +2 of 2 available|control +9 of 2 available/);
    assert.match(out, /agents +ready on 1 of 1 nodes/);
  });

  test("a second one changes nothing, and removes what the one before had", async () => {
    const api = cluster();
    await installOn(api);
    const labels = { [INSTALLATION.key]: INSTALLATION.value };
    put(api, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "of-old", namespace: "weft-system", labels } });
    const before = left(api).filter((path) => !path.endsWith("/of-old"));
    const { out } = await installOn(api);
    assert.match(out, /removed +of the installation before: ConfigMap weft-system\/of-old/);
    assert.deepEqual(left(api).toSorted(), before.toSorted());
  });

  test("says what of the configuration changes", async () => {
    const api = cluster();
    await installOn(api);
    const { out } = await installOn(api, { profile: "mesh", set: ["loadBalancerCIDR=203.0.113.0/24"] });
    assert.match(out, /changes +profile full -> mesh, loadBalancerCIDR - -> 203\.0\.113\.0\/24/);
    assert.match(out, /removed +of the installation before: .*Service kube-system\/kube-dns/);
  });

  test("leaves definitions and a namespace that others brought", async () => {
    const api = cluster();
    const name = crdName(KINDS.HTTPRoute);
    const theirs = { apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", metadata: { name }, spec: { theirs: true } } as Manifest;
    put(api, theirs);
    put(api, { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } });
    const { out } = await installOn(api);
    assert.match(out, /leaves as they are: httproutes\.gateway\.networking\.k8s\.io \(not Weft's\)/);
    assert.deepEqual(api.objects.get(objectPath(theirs)), theirs);
    assert.match(out, /left +Namespace istio-system, which was there before/);
  });

  test("says what is missing when the time is up, and the next step", async () => {
    const api = cluster();
    api.controller = (object) => (object.kind === "Deployment" ? object : atOnce(object));
    const metadata = { name: "weft-control-1", namespace: "weft-system", labels: { app: "weft-control" } };
    const waiting = { name: "control", state: { waiting: { reason: "ErrImagePull", message: "no such image" } } };
    const pod = { apiVersion: "v1", kind: "Pod", metadata, spec: { nodeName: "n1", containers: [] }, status: { containerStatuses: [waiting] } };
    put(api, pod as KubeObject, "/api/v1/namespaces/weft-system/pods/weft-control-1");
    await assert.rejects(installOn(api), (error: unknown) => {
      assert.ok(error instanceof CliError);
      assert.match(
        error.message,
        /^control: waited 60 s: 0 of 2 available; weft-control-1 \(n1\): control: ErrImagePull: no such image\n +next: {2}put the image/,
      );
      return true;
    });
  });

  test("refuses a cluster that Helm looks after", async () => {
    const api = cluster();
    await installOn(api);
    const path = "/api/v1/namespaces/weft-system/configmaps/weft-config";
    const map = api.objects.get(path) ?? assert.fail();
    put(api, { ...map, metadata: { ...map.metadata, annotations: { "meta.helm.sh/release-name": "mine" } } });
    await assert.rejects(installOn(api), /Helm's release "mine" installed Weft here; upgrade it with: {2}helm upgrade mine/);
  });
});

describe("weft uninstall", () => {
  test("begins with the webhook, has agents clean their nodes, and leaves definitions only", async () => {
    const api = cluster();
    await installOn(api);
    api.writes.length = 0;
    const { status, out } = await uninstallOn(api);
    assert.equal(status, 0);
    assert.match(api.writes[0] ?? "", /^DELETE .*weft-injector$/);
    const cleaning = api.writes.findIndex((write) => write.startsWith("PATCH") && write.endsWith("/weft-agent"));
    const removal = api.writes.indexOf("DELETE /apis/apps/v1/namespaces/weft-system/daemonsets/weft-agent");
    assert.ok(cleaning > 0 && removal > cleaning);
    assert.match(out, /left {2}9 definitions \(with 0 objects of users\); weft uninstall --crds removes them/);
    assert.ok(left(api).every((path) => path.includes("customresourcedefinitions")));
  });

  test("with --crds leaves nothing", async () => {
    const api = cluster();
    await installOn(api);
    await uninstallOn(api, true);
    assert.deepEqual(left(api), []);
  });

  test("leaves a namespace with something of users in it, and says so", async () => {
    const api = cluster();
    await installOn(api);
    const path = "/api/v1/namespaces/istio-system/secrets/shop-credential";
    put(api, { apiVersion: "v1", kind: "Secret", metadata: { name: "shop-credential", namespace: "istio-system" } }, path);
    const { out } = await uninstallOn(api, true);
    assert.match(out, /left {2}Namespace istio-system: Secret shop-credential in it is not Weft's/);
    assert.deepEqual(left(api).toSorted(), ["/api/v1/namespaces/istio-system", path]);
  });
});

describe("what Weft said of objects of others", () => {
  const condition = (type: string, reason = type) => ({ type, status: "True", reason, message: "" });

  test("is taken back: statuses of routes and policies, and that a node's network is up", async () => {
    const api = cluster();
    await installOn(api);
    const of = { namespace: "shop", name: "reviews" };
    const route = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/reviews";
    const status = { conditions: [condition("Accepted"), condition("PassedAnalysis")], observedGeneration: "1" };
    put(api, { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata: of, spec: {}, status } as KubeObject, route);
    const node = "/api/v1/nodes/n1";
    const conditions = [condition("NetworkUnavailable", "WeftIsUp")];
    put(api, { apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, status: { conditions } } as KubeObject, node);
    const { out } = await uninstallOn(api);
    assert.match(out, /statuses +taken back from 1 objects of users and 1 nodes/);
    assert.ok(api.writes.includes(`PATCH ${node}/status`));
    const stored = api.objects.get(`${route}/status`) as { status?: object } | undefined;
    assert.deepEqual(stored?.status, { conditions: [condition("PassedAnalysis")] });
  });

  test("of others stays", async () => {
    const api = cluster();
    await installOn(api);
    const conditions = [condition("NetworkUnavailable", "RouteCreated")];
    put(api, { apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, status: { conditions } } as KubeObject, "/api/v1/nodes/n1");
    await uninstallOn(api);
    assert.ok(!api.writes.some((write) => write.endsWith("/status")));
  });
});

test("versions are compared by their numbers", () => {
  assert.deepEqual(
    [isNewer("1.10.0", "1.9.9"), isNewer("1.9.9", "1.10.0"), isNewer("1.0.0", "1.0.0"), isNewer(undefined, "0.1.0")],
    [true, false, false, false],
  );
});

test("an inventory is read back", () => {
  assert.deepEqual(parseInventory("cluster v1 namespaces, apps/v1 deployments"), [
    { apiVersion: "v1", kind: "namespaces", plural: "namespaces", namespaced: false },
    { apiVersion: "apps/v1", kind: "deployments", plural: "deployments", namespaced: true },
  ]);
});
