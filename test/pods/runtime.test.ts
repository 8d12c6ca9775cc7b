/**
 * The pod runtime in a real cluster, seen by kubectl: what a Pod gets, how it fails, stops and starts again, what it is
 * refused, and a runtime that dies while its pods go on.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { withoutKubectl } from "../cluster/kubectl.ts";
import { startKubectl, type NamespaceKubectl } from "../cluster/network/kubectl.ts";
import { eventually, startMeshCluster, type MeshCluster } from "../cluster/mesh-cluster.ts";

const folder = join(import.meta.dirname, "runtime");
if (withoutKubectl !== false) process.stderr.write(`SKIPPED runtime: ${withoutKubectl}\n`);

describe("pods in a real cluster", { timeout: 300_000, skip: withoutKubectl }, () => {
  let cluster: MeshCluster;
  let kubectl: NamespaceKubectl;

  /** Waits until what kubectl prints matches. */
  const shows = async (pattern: RegExp, ...args: readonly string[]): Promise<string> => {
    const text = await eventually(
      () => kubectl.attempt(...args).then(({ stdout, stderr }) => stdout + stderr),
      (each) => pattern.test(each),
    );
    assert.match(text, pattern);
    return text;
  };
  const inside = (script: string): Promise<string> => kubectl.run("exec", "everything", "-c", "main", "--", "sh", "-c", script);
  const jsonOf = (pod: string, path: string): readonly string[] => ["get", "pod", pod, "-o", `jsonpath={${path}}`];

  before(async () => {
    cluster = await startMeshCluster(`p${process.pid}`, join(folder, "cluster.yaml"));
    kubectl = await startKubectl(cluster, "default");
    await kubectl.run("apply", "-f", join(folder, "everything.yaml"), "-f", join(folder, "troubles.yaml"));
    await kubectl.run("wait", "--for=condition=Ready", "pod/everything", "--timeout=60s");
  });
  after(() => cluster?.stop());

  test("command, args and environment are Kubernetes'", async () => {
    assert.equal(await kubectl.run("logs", "everything", "-c", "main"), "hello everything $(NAME) $(UNKNOWN)|second\n");
    const env = new Map((await inside("env")).split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
    const ip = await kubectl.run(...jsonOf("everything", ".status.podIP"));
    const wanted = {
      FROM_IMAGE: "yes",
      COLOUR: "blue",
      SIZE: "big",
      S_PASSWORD: "hush",
      NAME: "everything",
      IP: ip,
      TIER: "front",
      MEMORY: "64",
      BOTH: "hello-blue",
      HOSTNAME: "everything",
    };
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((name) => [name, env.get(name)])), wanted);
    assert.match(env.get("NODE") ?? "", /^node-[12]$/);
    assert.equal(env.has("MISSING"), false);
  });

  test("init containers run first, and hooks when they should", async () => {
    assert.equal(await kubectl.run("logs", "everything", "-c", "prepare"), "preparing\n");
    assert.equal(await inside("cat /scratch/made /scratch/started"), "prepared\nstarted\n");
  });

  test("volumes have their files, with their modes, and read-only where they are", async () => {
    assert.equal(
      await inside("cat /etc/settings/COLOUR /one/file.conf /secret/tls/key.pem /parts/colour /parts/password; sort /about/labels"),
      'blueone\nKEYbluehushapp="everything"\ntier="front"\n',
    );
    assert.equal(await inside("stat -Lc %a /secret/tls/key.pem /etc/settings/SIZE"), "400\n644\n");
    assert.match(await inside("touch /etc/settings/x 2>&1; touch /usr/x 2>&1; touch /scratch/x && echo written"), /Read-only[^]*Read-only[^]*written/);
  });

  test("a change of a ConfigMap reaches the files of pods that run", async () => {
    await kubectl.run("patch", "configmap", "settings", "-p", '{"data":{"COLOUR":"red"}}');
    await shows(/^red$/, "exec", "everything", "-c", "main", "--", "cat", "/etc/settings/COLOUR");
  });

  test("no event speaks of trouble where there was none", async () => {
    const events = await kubectl.run(
      "get",
      "events",
      "--field-selector",
      "involvedObject.name=everything",
      "-o",
      "jsonpath={range .items[*]}{.type} {.reason}{'\\n'}{end}",
    );
    assert.match(events, /Normal Started/);
    assert.doesNotMatch(events, /Warning/);
  });

  const columns: readonly { readonly pod: string; readonly want: RegExp }[] = [
    { pod: "crashes", want: /^crashes +0\/1 +CrashLoopBackOff +[1-9]/m },
    { pod: "no-image", want: /^no-image +0\/1 +(ErrImagePull|ImagePullBackOff) +0 /m },
    { pod: "no-program", want: /^no-program +0\/1 +CrashLoopBackOff +[1-9]/m },
    { pod: "init-fails", want: /^init-fails +0\/1 +Init:CrashLoopBackOff +0 /m },
    { pod: "completes", want: /^completes +0\/1 +Completed +0 /m },
    { pod: "fails", want: /^fails +0\/1 +Error +0 /m },
    { pod: "no-config", want: /^no-config +0\/1 +CreateContainerConfigError +0 /m },
    { pod: "host-network", want: /^host-network +0\/1 +CreateContainerConfigError +0 /m },
    { pod: "host-path", want: /^host-path +0\/1 +ContainerCreating +0 /m },
    { pod: "dies", want: /^dies +\d\/1 +(Running|CrashLoopBackOff) +[1-9]/m },
  ];
  for (const { pod, want } of columns) test(`kubectl get shows ${pod} as ${String(want)}`, async () => void (await shows(want, "get", "pod", pod)));

  const words: readonly { readonly pod: string; readonly path: string; readonly want: RegExp }[] = [
    {
      pod: "crashes",
      path: ".status.containerStatuses[0].state.waiting.message",
      want: /^back-off \d+s restarting failed container=main pod=crashes_default\(/,
    },
    { pod: "crashes", path: ".status.containerStatuses[0].lastState.terminated.exitCode", want: /^3$/ },
    {
      pod: "no-image",
      path: ".status.containerStatuses[0].state.waiting",
      want: /registry\.example\.org\/shop:1.*no entry of ClusterConfig spec\.images matches it.*--config/,
    },
    { pod: "no-program", path: ".status.containerStatuses[0].lastState.terminated", want: /StartError/ },
    { pod: "no-program", path: ".status.containerStatuses[0].lastState.terminated.message", want: /exec: "\/no\/such\/program": no such file or directory/ },
    { pod: "fails", path: ".status.containerStatuses[0].state.terminated.message", want: /^last words\n$/ },
    { pod: "fails", path: ".status.phase", want: /^Failed$/ },
    { pod: "completes", path: ".status.phase", want: /^Succeeded$/ },
    {
      pod: "no-config",
      path: ".status.containerStatuses[0].state.waiting.message",
      want: /^configmap "nobody" not found \(containers\[main\]\.env\[0\] \(X\)\)$/,
    },
    { pod: "host-network", path: ".status.containerStatuses[0].state.waiting.message", want: /^spec\.hostNetwork: true is not supported/ },
    { pod: "host-path", path: ".status.containerStatuses[0].state.waiting.message", want: /hostPath is not supported by this runtime; use configMap/ },
    { pod: "privileged", path: ".status.containerStatuses[0].state.waiting.message", want: /securityContext\.privileged: true is not supported/ },
    {
      pod: "grpc-probe",
      path: ".status.containerStatuses[0].state.waiting.message",
      want: /livenessProbe\.grpc is not supported by this runtime; use httpGet/,
    },
    {
      pod: "asks-much",
      path: '.status.conditions[?(@.type=="weft.dev/SpecHonoured")].message',
      want: /runtimeClassName.*resources\.limits.*capabilities\.add: it runs without NET_ADMIN/,
    },
  ];
  for (const { pod, path, want } of words) test(`${pod} says why: ${path}`, async () => void (await shows(want, ...jsonOf(pod, path))));

  test("kubectl says what it waits for when there is no log yet", async () => {
    await shows(/container "main" in pod "no-image" is waiting to start: trying and failing to pull image/, "logs", "no-image");
    await shows(/^run\n$/, "logs", "crashes", "--previous");
  });

  test("readiness follows its HTTP probe, there and back", async () => {
    const ip = await kubectl.run(...jsonOf("serves", ".status.podIP"));
    const turn = (): Promise<unknown> => cluster.enter("default/everything", "curl", "-s", `http://${ip}:8080/turn`);
    await shows(/0\/1 +Running/, "get", "pod", "serves");
    await turn();
    await shows(/1\/1 +Running +0/, "get", "pod", "serves");
    await turn();
    await shows(/0\/1 +Running +0/, "get", "pod", "serves");
  });

  test("a runtime that is killed finds its pods again, and they did not notice", async () => {
    const node = await kubectl.run(...jsonOf("stays", ".spec.nodeName"));
    const before = await kubectl.run(...jsonOf("stays", ".status.containerStatuses[0].containerID"));
    const ticks = async (): Promise<number> => (await kubectl.attempt("logs", "stays")).stdout.split("\n").length;
    const killed = await cluster.enter(
      node,
      "sh",
      "-c",
      `kill -9 $(grep -lz -- '^${node}$' /proc/[0-9]*/cmdline | while read f; do grep -qz '/pods\\.[mt]*[js]*s$' $f && basename $(dirname $f); done)`,
    );
    assert.equal(killed.code, 0, killed.stderr);
    const counted = await eventually(ticks, (count) => count > 1);
    await eventually(ticks, (count) => count > counted + 2);
    assert.equal(await kubectl.run(...jsonOf("stays", ".status.containerStatuses[0].containerID")), before);
    assert.equal(await kubectl.run(...jsonOf("stays", ".status.containerStatuses[0].restartCount")), "0");
    // And it is the new one's to stop and to start.
    await shows(/^tick$/m, "exec", "stays", "--", "sh", "-c", "echo tick");
  });

  test("a pod that does not stop is killed when its time is over; one that does has its preStop first", async () => {
    const started = Date.now();
    await kubectl.run("delete", "pod", "stays", "--timeout=60s");
    assert.ok(Date.now() - started >= 2000);
    const follow = kubectl.attempt("logs", "everything", "-c", "main", "-f");
    await kubectl.run("delete", "pod", "everything", "--timeout=60s");
    assert.match((await follow).stdout, /leaving\nstopping\n$/);
  });

  test("all pods can be deleted, whatever state they are in, and leave no link or address behind", async () => {
    await kubectl.run("delete", "pods", "--all", "--timeout=90s");
    await shows(/No resources found/, "get", "pods");
    const links = async (): Promise<string> =>
      (await cluster.enter("node-1", "ip", "-o", "link")).stdout + (await cluster.enter("node-2", "ip", "-o", "link")).stdout;
    // The gateway's.
    const left = await eventually(links, (text) => [...text.matchAll(/ weft[0-9a-f]{11}@/g)].length <= 1);
    assert.ok([...left.matchAll(/ weft[0-9a-f]{11}@/g)].length <= 1, left);
  });
});
