import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, globSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startTestServer, type TestServer } from "./test-server.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const samples = new URL("../../../shared/upstream/istio/samples/bookinfo/", import.meta.url).pathname;
const gatewayApi = new URL("../../../shared/upstream/gateway-api/conformance-manifests/", import.meta.url).pathname;

function hasKubectl(): boolean {
  try {
    execFileSync("kubectl", ["version", "--client"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const deployment = (image: string, more = "") => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "${image}", env: [{name: A, value: "1"}]${more}}
`;

describe("kubectl", { skip: hasKubectl() ? false : "kubectl is not installed: the API is NOT tried with it" }, () => {
  let server: TestServer;

  function kubectl(args: readonly string[], options: { readonly input?: string; readonly env?: Record<string, string> } = {}): Promise<Ran> {
    const env = { ...process.env, KUBECONFIG: server.kubeconfig, HOME: server.folder, ...options.env };
    return new Promise((resolve) => {
      const child = execFile("kubectl", [...args], { env, timeout: 30_000, maxBuffer: 1e8 }, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
      });
      child.stdin?.end(options.input ?? "");
    });
  }

  async function good(args: readonly string[], options: { readonly input?: string; readonly env?: Record<string, string> } = {}): Promise<string> {
    const { code, out, err } = await kubectl(args, options);
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${err}`);
    return out;
  }

  const apply = (manifest: string, ...more: readonly string[]) => good(["apply", "-f", "-", ...more], { input: manifest });

  before(async () => {
    server = await startTestServer({ endpoint: { ip: "192.0.2.1", port: 6443 } });
  });
  after(() => server.stop());

  test("version is 1.33", async () => assert.match(await good(["version"]), /Server Version: v1\.33/));

  test("apply creates, then changes nothing, then configures", async () => {
    assert.match(await apply(deployment("web:1")), /deployment\.apps\/web created/);
    assert.match(await apply(deployment("web:1")), /web unchanged/);
    assert.match(await apply(deployment("web:2")), /web configured/);
    assert.equal(await good(["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image} {.metadata.generation}"]), "web:2 2");
  });

  test("get prints upstream's columns, wide, yaml, json and names", async () => {
    assert.match(await good(["get", "deploy"]), /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +0\/1 +0 +0 +\d+s\n$/);
    assert.match(await good(["get", "deploy", "-o", "wide"]), /CONTAINERS +IMAGES +SELECTOR\nweb .* web +web:2 +app=web\n/);
    assert.match(await good(["get", "deploy", "web", "-o", "yaml"]), /^apiVersion: apps\/v1\nkind: Deployment\n/);
    const list = JSON.parse(await good(["get", "deploy,svc", "-o", "json"])) as { items: { kind: string }[] };
    assert.deepEqual(
      list.items.map(({ kind }) => kind),
      ["Deployment", "Service"],
    );
    assert.equal(await good(["get", "deploy", "-l", "app=web", "-o", "name"]), "deployment.apps/web\n");
    assert.match(await good(["get", "svc", "kubernetes"]), /kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443\/TCP/);
    assert.match(await good(["get", "all"]), /deployment\.apps\/web/);
  });

  test("create, label, annotate, scale, expose and set image work", async () => {
    for (const args of [
      ["create", "namespace", "team"],
      ["create", "configmap", "c", "--from-literal=a=b", "-n", "team"],
      ["create", "secret", "generic", "s", "--from-literal=a=b", "-n", "team"],
      ["create", "serviceaccount", "me", "-n", "team"],
      ["create", "deployment", "d", "--image=d:1", "--replicas=0", "--port=80", "-n", "team"],
      ["create", "service", "nodeport", "n", "--tcp=80:web", "-n", "team"],
      ["run", "p", "--image=p:1", "-n", "team"],
      ["expose", "deployment", "web", "--port=80"],
      ["label", "deploy", "web", "tier=front"],
      ["annotate", "deploy", "web", "note=x"],
      ["scale", "deploy/web", "--replicas=3"],
      ["set", "image", "deploy/web", "web=web:3"],
    ]) {
      await good(args);
    }
    assert.equal(
      await good(["get", "deploy", "web", "-o", "jsonpath={.spec.replicas} {.metadata.labels.tier} {.spec.template.spec.containers[0].image}"]),
      "3 front web:3",
    );
    assert.equal(await good(["get", "deploy", "d", "-n", "team", "-o", "jsonpath={.spec.replicas}"]), "0");
    assert.match(await good(["get", "pod", "p", "-n", "team", "-o", "wide"]), /p +0\/1 +Pending +0 +\d+s +<none> +<none>/);
    assert.match(await good(["get", "sa", "-n", "team"]), /default +0/);
  });

  test("all three kinds of patch work, and a strategic one merges lists by name", async () => {
    await good(["patch", "deploy", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"B","value":"2"}]}]}}}}']);
    assert.equal(await good(["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}"]), "B A");
    await good(["patch", "deploy", "web", "--type=merge", "-p", '{"metadata":{"annotations":{"note":null}}}']);
    await good(["patch", "deploy", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":2}]']);
    assert.equal(await good(["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}{.metadata.annotations.note}"]), "2");
    const failed = await kubectl(["patch", "deploy", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/nothing"}]']);
    assert.match(failed.err, /path "\/spec\/nothing" does not exist/);
  });

  test("edit applies what the editor wrote", async () => {
    const editor = join(server.folder, "editor");
    writeFileSync(editor, '#!/bin/sh\nsed -i "s/replicas: 2/replicas: 4/" "$1"\n');
    chmodSync(editor, 0o755);
    assert.match(await good(["edit", "deploy", "web"], { env: { EDITOR: editor } }), /edited/);
    assert.equal(await good(["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]), "4");
  });

  test("describe and explain know the kinds", async () => {
    assert.match(await good(["describe", "deploy", "web"]), /Replicas: +4 desired/);
    assert.match(await good(["describe", "svc", "web"]), /Selector: +app=web/);
    assert.match(await good(["describe", "ns", "default"]), /Status: +Active/);
    assert.match(await good(["explain", "deployment.spec.strategy"]), /rollingUpdate\t<RollingUpdateDeployment>/);
    assert.match(await good(["explain", "virtualservice.spec.http.route"]), /destination\t<Object> -required-/);
  });

  test("rollout status waits for what the controller writes", async () => {
    const waiting = kubectl(["rollout", "status", "deploy/web", "--timeout=20s"]);
    const generation = Number(await good(["get", "deploy", "web", "-o", "jsonpath={.metadata.generation}"]));
    const status = { observedGeneration: generation, replicas: 4, updatedReplicas: 4, readyReplicas: 4, availableReplicas: 4 };
    await good(["patch", "deploy", "web", "--subresource=status", "--type=merge", "-p", JSON.stringify({ status })]);
    const { code, out } = await waiting;
    assert.equal(code, 0, out);
    assert.match(out, /successfully rolled out/);
  });

  test("get -w shows changes as they come", async (t) => {
    const child = spawn("kubectl", ["get", "cm", "-w", "-n", "team"], { env: { ...process.env, KUBECONFIG: server.kubeconfig, HOME: server.folder } });
    t.after(() => child.kill());
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    const until = async (pattern: RegExp) => {
      for (let waited = 0; !pattern.test(seen); waited += 20) {
        assert.ok(waited < 10_000, `waited in vain for ${String(pattern)} in ${seen}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await until(/c +1 /);
    await good(["create", "configmap", "late", "-n", "team"]);
    await until(/late +0 /);
  });

  test("broken manifests get Kubernetes' own errors", async () => {
    const refused = async (manifest: string) => (await kubectl(["create", "-f", "-"], { input: manifest })).err;
    assert.match(
      await refused(deployment("web:1", ", imagee: x").replace("name: web,", "name: web9,")),
      /strict decoding error: unknown field "spec\.template\.spec\.containers\[0\]\.imagee"/,
    );
    assert.match(
      await refused(
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: reviews}, spec: {hosts: [a], http: [{route: [{destination: {host: a}, weight: 101}]}]}}",
      ),
      /The VirtualService "reviews" is invalid: spec\.http\[0\]\.route\[0\]\.weight: Invalid value: 101: must be between 0 and 100/,
    );
    assert.match(
      await refused("{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 0}]}}"),
      /The Service "x" is invalid:[^]*spec\.ports\[0\]\.port: Invalid value: 0/,
    );
    assert.match(await refused("{apiVersion: v9, kind: Thing, metadata: {name: x}}"), /no matches for kind "Thing" in version "v9"/);
    assert.match(await refused("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: nowhere}}"), /namespaces "nowhere" not found/);
    assert.match(await refused("{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: team}}"), /configmaps "c" already exists/);
    assert.match(
      await refused(
        deployment("web:1").replace("replicas", "x").replace("matchLabels: {app: web}", "matchLabels: {app: other}").replace("name: web,", "name: w2,"),
      ),
      /`selector` does not match template `labels`/,
    );
  });

  test("server-side apply keeps what other managers set and names conflicts", async () => {
    const map = (data: string) => `{apiVersion: v1, kind: ConfigMap, metadata: {name: ssa}, data: {${data}}}`;
    await apply(map("a: '1'"), "--server-side", "--field-manager=one");
    await apply(map("b: '2'"), "--server-side", "--field-manager=two");
    const clash = await kubectl(["apply", "--server-side", "--field-manager=two", "-f", "-"], { input: map("a: '3', b: '2'") });
    assert.match(clash.err, /conflict with "one"[^]*\.data\.a/);
    await apply(map("a: '3', b: '2'"), "--server-side", "--field-manager=two", "--force-conflicts");
    assert.equal(await good(["get", "cm", "ssa", "-o", "jsonpath={.data.a}{.data.b}"]), "32");
  });

  test("dry runs change nothing", async () => {
    await good(["create", "configmap", "ghost", "--dry-run=server"]);
    assert.match((await kubectl(["get", "cm", "ghost"])).err, /configmaps "ghost" not found/);
  });

  test("deleting takes dependents and a namespace's content along", async () => {
    const uid = await good(["get", "deploy", "web", "-o", "jsonpath={.metadata.uid}"]);
    await apply(
      deployment("web:1")
        .replace("kind: Deployment", "kind: ReplicaSet")
        .replace(
          "{name: web, labels: {app: web}}",
          `{name: web-1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: ${uid}, controller: true, blockOwnerDeletion: true}]}`,
        ),
    );
    await good(["delete", "deploy", "web", "--cascade=foreground"]);
    assert.equal(await good(["get", "rs", "-o", "name"]), "");
    await good(["delete", "ns", "team"]);
    assert.match((await kubectl(["get", "cm", "c", "-n", "team"])).err, /not found/);
  });

  test("upstream's Bookinfo and Gateway API manifests apply", async (t) => {
    if (!existsSync(samples)) {
      t.skip("../shared/upstream is not there: upstream's manifests are NOT applied");
      return;
    }
    const files = [
      ...["kube/bookinfo.yaml", "kube/bookinfo-versions.yaml", "networking/bookinfo-gateway.yaml", "networking/destination-rule-all.yaml"],
      ...["networking/destination-rule-all-mtls.yaml", "networking/virtual-service-all-v1.yaml"],
      ...globSync("gateway-api/*.yaml", { cwd: samples }),
      ...globSync("networking/virtual-service-reviews-*.yaml", { cwd: samples }),
    ];
    await good(["apply", "--warnings-as-errors", ...files.flatMap((file) => ["-f", join(samples, file)])]);
    const conformance = globSync("{base,tests}/{manifests,httproute-simple-same-namespace,httproute-matching,gateway-simple}*.yaml", { cwd: gatewayApi });
    for (const file of conformance) {
      const { err } = await kubectl(["apply", "-f", join(gatewayApi, file)]);
      assert.deepEqual(
        err
          .split("\n")
          .filter(
            (line) =>
              line !== "" &&
              !/^(Error from server \(NotFound\): .*namespaces? |error: resource mapping not found|ensure CRDs|no matches for kind|resource mapping)/.test(
                line,
              ),
          ),
        [],
        file,
      );
    }
  });
});
