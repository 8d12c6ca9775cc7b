/** What holds on Kubernetes with either profile. Each takes the cluster as the ones before it left it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Report } from "#tools/demo/report.ts";
import { showAll } from "#tools/demo/scenes.ts";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { applyExample, captureNodes, openWorld, removeExample } from "#tools/kubernetes/demo-world.ts";
import { addedSince, footprintOf, type Footprint } from "#tools/kubernetes/footprint.ts";
import { installWeft, uninstallWeft } from "#tools/kubernetes/product.ts";
import { eventually } from "./on-kubernetes.ts";

export type Running = () => KubernetesCluster;

export function installs(cluster: Running, remember: (before: Footprint) => void): void {
  test("weft install --wait ends when its pods are Ready and nodes have a network", async () => {
    remember(await footprintOf(cluster()));
    await installWeft(cluster());
    const ready = await cluster().get("get", "nodes", "-o", 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}');
    assert.match(ready, /^(True )+$/);
    const pods = await cluster().get(
      "-n",
      "weft-system",
      "get",
      "pods",
      "-o",
      'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}',
    );
    for (const line of pods.trim().split("\n")) assert.match(line, / True$/, pods);
  });
}

export function demoHolds(cluster: Running): void {
  test("the demo's checks hold", { timeout: 600_000 }, async (t) => {
    const capture = captureNodes(cluster());
    if (capture === undefined) t.diagnostic("nodes cannot be reached: what travels between them is not looked at");
    await applyExample(cluster());
    const report = new Report();
    const world = await openWorld(cluster());
    try {
      await showAll(world, report, capture);
      assert.ok(report.held, report.summary());
    } finally {
      for (const file of ["strict.yaml", "ratings-only-reviews.yaml"]) await world.remove(file);
    }
  });
}

const JOB = `
apiVersion: batch/v1
kind: Job
metadata: { name: ends, namespace: default }
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: asks
          image: weft/shell:1
          command: [curl, -sS, --fail, --retry, "5", --retry-all-errors, --max-time, "20", "http://details:9080/details/0"]
`;

export function jobEnds(cluster: Running): void {
  test("a Job whose pod has a proxy asks another service, and ends", async () => {
    await cluster().apply(JOB);
    await cluster().get("-n", "default", "wait", "--for=condition=Complete", "job/ends", "--timeout=90s");
    const containers = await cluster().get("-n", "default", "get", "pods", "-l", "job-name=ends", "-o", "jsonpath={.items[0].spec.initContainers[*].name}");
    assert.match(containers, /\bistio-proxy\b/);
    assert.match(await cluster().get("-n", "default", "logs", "job/ends", "-c", "asks"), /"id":\s*0/);
    await cluster().get("-n", "default", "delete", "job", "ends");
  });
}

const PROBED = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: probed, namespace: default }
spec:
  selector: { matchLabels: { app: probed } }
  mtls: { mode: STRICT }
---
apiVersion: v1
kind: Pod
metadata: { name: probed, namespace: default, labels: { app: probed } }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: weft/bookinfo-details:1
      ports: [{ name: http, containerPort: 9080 }]
      startupProbe: { httpGet: { path: /health, port: http }, periodSeconds: 1, failureThreshold: 60 }
      readinessProbe: { httpGet: { path: /health, port: 9080 }, periodSeconds: 1 }
      livenessProbe: { tcpSocket: { port: 9080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Pod
metadata: { name: sick, namespace: default, labels: { app: probed } }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: weft/bookinfo-details:1
      readinessProbe: { httpGet: { path: /no-such-page, port: 9080 }, periodSeconds: 1 }
`;

export function probesOfStrictPods(cluster: Running): void {
  test("a pod that takes mutual TLS only becomes Ready by its probes, and one whose probe fails does not", async () => {
    await cluster().apply(PROBED);
    await cluster().get("-n", "default", "wait", "--for=condition=Ready", "pod/probed", "--timeout=90s");
    const restarts = await cluster().get("-n", "default", "get", "pod", "probed", "-o", "jsonpath={.status.containerStatuses[0].restartCount}");
    assert.equal(restarts, "0");
    const sick = await eventually(
      () => cluster().get("-n", "default", "get", "events", "--field-selector=involvedObject.name=sick,reason=Unhealthy", "-o", "jsonpath={.items[*].message}"),
      (message) => message.includes("404"),
    );
    assert.match(sick, /Readiness probe failed: HTTP probe failed with statuscode: 404/);
    await cluster().run(["kubectl", "delete", "-f", "-"], { input: PROBED });
  });
}

export function uninstallLeavesNothing(cluster: Running, before: () => Footprint): void {
  test("weft uninstall leaves no object, link, rule or file behind", { timeout: 300_000 }, async () => {
    await removeExample(cluster());
    await uninstallWeft(cluster());
    const left = await eventually(
      async () => addedSince(before(), await footprintOf(cluster())),
      (lines) => lines.length === 0,
      90_000,
    );
    assert.deepEqual(left, []);
  });
}
