/**
 * kubectl against pods that run: rollouts, logs, exec, copies, events, deletion; and what Weft does not do is refused in
 * words. What needs only the API server is tried in src/apiserver/kubectl.test.ts, without a cluster.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectlOf, withoutKubectl, type Kubectl, type RunOptions } from "./kubectl.ts";
import { startMeshCluster, type MeshCluster } from "./mesh-cluster.ts";

if (withoutKubectl !== false) process.stderr.write(`SKIPPED kubectl: ${withoutKubectl}\n`);

const config = join(import.meta.dirname, "testdata/kubectl-cluster.yaml");
const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: shell, image: "example.org/shell:1"}
      - {name: other, image: "example.org/shell:1"}
`;

describe("kubectl and running pods", { skip: withoutKubectl }, () => {
  let cluster: MeshCluster;
  let kubectl: Kubectl;

  async function good(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, out, err } = await kubectl(args, options);
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${out}${err}`);
    return out;
  }
  async function refused(args: readonly string[], says: RegExp): Promise<void> {
    const { code, err } = await kubectl(args);
    assert.notEqual(code, 0, `kubectl ${args.join(" ")}`);
    assert.match(err, says);
  }
  const rolledOut = () => good(["rollout", "status", "deploy/web", "--timeout=60s"]);

  before(async () => {
    cluster = await startMeshCluster(`kubectl${process.pid}`, config);
    kubectl = kubectlOf(cluster.user, (await cluster.weft("kubeconfig")).stdout.trim());
    await good(["apply", "-f", "-"], { input: web });
    assert.match(await rolledOut(), /deployment "web" successfully rolled out/);
  });
  after(() => cluster?.stop());

  test("pods, nodes and what owns them are shown as they are", async () => {
    assert.match(await good(["get", "pods", "-l", "app=web", "-o", "wide"]), /web-\S+ +2\/2 +Running +0 +\d+s +10\.244\.[01]\.\d+ +node-[12] +<none> +<none>/);
    assert.match(await good(["get", "nodes", "-o", "wide"]), /node-1 +Ready +<none> +\S+ +v1\.33\S* +192\.168\.99\.11 /);
    assert.match(await good(["get", "deploy,rs", "-o", "wide"]), /replicaset\.apps\/web-\S+ +1 +1 +1 /);
    const running = ["get", "pods", "--field-selector", "status.phase=Running,spec.nodeName!=node-9", "-A", "--sort-by=.metadata.name", "-o", "name"];
    assert.match(await good(running), /^pod\/istio-ingressgateway-\S+\npod\/web-\S+\n$/);
    assert.match(await good(["describe", "node", "node-1"]), /Conditions:[^]*Ready +True[^]*Non-terminated Pods: +\(\d in total\)/);
    assert.match(await good(["describe", "deploy", "web"]), /NewReplicaSet: +web-\S+ \(1\/1 replicas created\)/);
    assert.match(await good(["wait", "pod", "-l", "app=web", "--for=condition=Ready", "--timeout=60s"]), /condition met/);
  });

  test("logs come whole, in part, as they are written, and from the run before", async () => {
    await good(["run", "fails", "--image=example.org/fails:1", "--labels=run=fails"]);
    await good(["wait", "pod/fails", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=60s"]);
    assert.equal(await good(["logs", "fails", "--previous"]), "about to fail\n");
    assert.match(await good(["get", "pod", "fails"]), /fails +0\/1 +(CrashLoopBackOff|Error) +[1-9] \(\d+s ago\)/);
    assert.match(await good(["describe", "pod", "fails"]), /Exit Code: +3[^]*BackOff[^]*Back-off restarting failed container/);
    await good(["delete", "pod", "fails", "--force", "--grace-period=0"]);

    assert.equal(await good(["logs", "deploy/web", "-c", "shell"]), "one\ntwo\nthree\n");
    assert.equal(await good(["logs", "deploy/web", "-c", "shell", "--tail=1"]), "three\n");
    assert.match(await good(["logs", "-l", "app=web", "-c", "shell", "--timestamps", "--tail=1"]), /^\d{4}-\d\d-\d\dT\S+Z three\n$/);
    assert.match(await good(["logs", "deploy/web", "--all-containers", "--prefix"]), /\[pod\/web-\S+\/other\] one/);
    const following = kubectl(["logs", "-f", "deploy/web", "-c", "shell"], { until: /late/ });
    await good(["exec", "deploy/web", "-c", "shell", "--", "touch", "/tmp/now"]);
    assert.match((await following).out, /three\nlate\n/);
    await refused(["logs", "deploy/web", "-c", "nobody"], /container nobody is not valid for pod web-/);
    await refused(["logs", "nobody"], /pods "nobody" not found/);
  });

  test("exec gives output, errors, exit codes, standard input and a terminal", async () => {
    const exec = (...command: readonly string[]) => ["exec", "deploy/web", "-c", "shell", "--", ...command];
    const { code, out, err } = await kubectl(exec("sh", "-c", "echo out; echo err >&2; exit 7"));
    assert.deepEqual([code, out], [7, "out\n"]);
    assert.match(err, /^err\ncommand terminated with exit code 7/);
    assert.equal(await good(["exec", "-i", "deploy/web", "-c", "shell", "--", "cat"], { input: "hello\n" }), "hello\n");
    const large = "0123456789abcdef".repeat(20_000);
    assert.equal(await good(["exec", "-i", "deploy/web", "-c", "shell", "--", "wc", "-c"], { input: large }), `${large.length}\n`);
    assert.match((await kubectl(exec("no-such-program"))).err, /no-such-program/);
    await refused(["exec", "deploy/web", "-c", "nobody", "--", "ls"], /container nobody is not valid for pod web-/);
    await refused(["exec", "nobody", "--", "ls"], /pods "nobody" not found/);
  });

  test("files are copied in and out", async () => {
    const pod = (await good(["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}"])).trim();
    const [source, target] = [join(cluster.user.home, "source"), join(cluster.user.home, "target")];
    writeFileSync(source, "carried\n");
    chmodSync(source, 0o644);
    await good(["cp", source, `${pod}:/tmp/there`, "-c", "shell"]);
    assert.equal(await good(["exec", pod, "-c", "shell", "--", "cat", "/tmp/there"]), "carried\n");
    await good(["cp", `${pod}:/tmp/there`, target, "-c", "shell"]);
  });

  test("rollouts are followed, paused, undone and restarted", async () => {
    const image = () => good(["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    await good(["rollout", "pause", "deploy/web"]);
    await good(["set", "image", "deploy/web", "shell=example.org/shell:2"]);
    assert.match(await good(["get", "rs", "-l", "app=web", "-o", "name"]), /^replicaset\.apps\/web-\S+\n$/, "a paused rollout starts nothing");
    await good(["rollout", "resume", "deploy/web"]);
    await rolledOut();
    assert.match(await good(["rollout", "history", "deploy/web"]), /^1 +<none>\n2 +<none>$/m);
    assert.match(await good(["rollout", "history", "deploy/web", "--revision=2"]), /Image:\s+example\.org\/shell:2/);
    await good(["rollout", "undo", "deploy/web"]);
    await rolledOut();
    assert.equal(await image(), "example.org/shell:1");
    await good(["rollout", "restart", "deploy/web"]);
    await rolledOut();
    assert.match(await good(["get", "deploy", "web", "-o", "yaml"]), /kubectl\.kubernetes\.io\/restartedAt/);
    await good(["set", "image", "deploy/web", "shell=example.org/unknown:1"]);
    const watched = await kubectl(["get", "pods", "-l", "app=web", "-w"], { until: /(ErrImagePull|ImagePullBackOff)/ });
    assert.match(watched.out, /web-\S+ +[01]\/2 +(ErrImagePull|ImagePullBackOff)/);
    const events = await kubectl(["events", "--watch", "--types=Warning"], { until: /no entry of ClusterConfig/ });
    assert.match(events.out, /Failed .*Pod\/web-\S+ .*failed to resolve image "example\.org\/unknown:1": no entry of ClusterConfig spec\.images matches it/);
    await good(["rollout", "undo", "deploy/web"]);
    await rolledOut();
  });

  test("scaling and deleting take their pods along", async () => {
    await good(["scale", "deploy/web", "--replicas=2"]);
    await rolledOut();
    assert.equal((await good(["get", "pods", "-l", "app=web", "-o", "name"])).trim().split("\n").length, 2);
    await good(["scale", "deploy/web", "--replicas=1"]);
    await good(["wait", "deploy/web", "--for=jsonpath={.status.replicas}=1", "--timeout=60s"]);
    assert.match(await good(["delete", "deploy", "web", "--cascade=foreground", "--timeout=60s"]), /deployment\.apps "web" deleted/);
    assert.equal(await good(["get", "rs,pods", "-l", "app=web", "-o", "name"]), "");
    await good(["create", "namespace", "short"]);
    await good(["run", "p", "--image=example.org/shell:1", "-n", "short"]);
    await good(["wait", "pod/p", "-n", "short", "--for=condition=Ready", "--timeout=60s"]);
    await good(["delete", "namespace", "short", "--timeout=60s"]);
    await refused(["get", "namespace", "short"], /namespaces "short" not found/);
  });

  test("what Weft does not do is refused in words", async () => {
    await good(["run", "p", "--image=example.org/shell:1"]);
    await good(["wait", "pod/p", "--for=condition=Ready", "--timeout=60s"]);
    await refused(["port-forward", "pod/p", "18999:80"], /port-forward is not supported by Weft's API server; .* weft enter POD/);
    await refused(["attach", "p"], /attach is not supported by Weft's API server; .*kubectl logs -f POD/);
    await refused(["top", "pods"], /Metrics API not available/);
    await refused(["create", "job", "j", "--image=example.org/shell:1"], /the server could not find the requested resource/);
    await refused(["get", "statefulsets"], /the server doesn't have a resource type "statefulsets"/);
    await good(["delete", "pod", "p", "--now"]);
  });
});
