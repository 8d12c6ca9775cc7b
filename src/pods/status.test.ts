import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "#model/core.ts";
import { notHonoured } from "./not-honoured.ts";
import { containerProblem, effectiveIdentity, podProblem } from "./pod-rules.ts";
import { podPhase, podStatus, type ContainerView, type PodView } from "./status.ts";

const view = (more: Partial<ContainerView> = {}): ContainerView => ({
  name: "app",
  image: "shop:1",
  role: "app",
  state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
  lastState: undefined,
  ready: true,
  started: true,
  restartCount: 0,
  containerId: "weft://u/app/0",
  ...more,
});
const terminated = (exitCode: number): ContainerView["state"] => ({ terminated: { exitCode } });
const waiting: ContainerView["state"] = { waiting: { reason: "ContainerCreating" } };

describe("the phase of a pod", () => {
  const cases: readonly {
    readonly name: string;
    readonly init?: ContainerView[];
    readonly apps: ContainerView[];
    readonly policy?: string;
    readonly want: string;
  }[] = [
    { name: "whose container runs", apps: [view()], want: "Running" },
    { name: "of which one never ran", apps: [view(), view({ state: waiting })], want: "Pending" },
    { name: "that backs off", apps: [view({ state: { waiting: { reason: "CrashLoopBackOff" } }, lastState: terminated(1) })], want: "Running" },
    { name: "whose init container runs", init: [view({ role: "init" })], apps: [view({ state: waiting })], want: "Pending" },
    {
      name: "whose init container failed for good",
      init: [view({ role: "init", state: terminated(1) })],
      apps: [view({ state: waiting })],
      policy: "Never",
      want: "Failed",
    },
    {
      name: "whose init container failed and runs again",
      init: [view({ role: "init", state: terminated(1) })],
      apps: [view({ state: waiting })],
      want: "Pending",
    },
    { name: "that completed", apps: [view({ state: terminated(0) })], policy: "Never", want: "Succeeded" },
    { name: "that failed", apps: [view({ state: terminated(0) }), view({ state: terminated(2) })], policy: "Never", want: "Failed" },
    { name: "that failed and runs again", apps: [view({ state: terminated(2) })], policy: "OnFailure", want: "Running" },
  ];
  for (const { name, init = [], apps, policy = "Always", want } of cases) test(`${name} is ${want}`, () => assert.equal(podPhase(init, apps, policy), want));
});

const pod = (spec: object = {}, status?: Pod["status"]): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", generation: 3 },
  spec: { containers: [{ name: "app", image: "shop:1" }], ...spec },
  ...(status === undefined ? {} : { status }),
});
const podView = (of: Pod, containers: readonly ContainerView[], more: Partial<PodView> = {}): PodView => ({
  pod: of,
  containers,
  hostIP: "192.168.0.10",
  podIP: "10.0.0.7",
  startTime: "2026-01-01T00:00:00Z",
  now: "2026-01-01T00:01:00Z",
  sandboxReady: true,
  terminating: false,
  failed: undefined,
  ...more,
});
const condition = (status: ReturnType<typeof podStatus>, type: string) => status.conditions?.find((each) => each.type === type);

describe("the conditions of a pod", () => {
  test("name the containers that are not ready", () => {
    const status = podStatus(podView(pod(), [view({ ready: false })]));
    assert.deepEqual(condition(status, "Ready"), {
      type: "Ready",
      status: "False",
      lastTransitionTime: "2026-01-01T00:01:00Z",
      reason: "ContainersNotReady",
      message: "containers with unready status: [app]",
    });
  });

  test("keep their time while they stay what they are, and others' conditions", () => {
    const gate = { type: "example.org/gate", status: "True", lastTransitionTime: "2026-01-01T00:00:30Z" };
    const before = podStatus(podView(pod(), [view()], { now: "2026-01-01T00:00:10Z" }));
    const after = podStatus(podView(pod({}, { ...before, conditions: [...(before.conditions ?? []), gate] }), [view()]));
    assert.equal(condition(after, "Ready")?.lastTransitionTime, "2026-01-01T00:00:10Z");
    assert.deepEqual(condition(after, gate.type), gate);
  });

  test("wait for readiness gates", () => {
    const gated = pod({ readinessGates: [{ conditionType: "example.org/gate" }] });
    assert.equal(condition(podStatus(podView(gated, [view()])), "Ready")?.reason, "ReadinessGatesNotReady");
  });

  test("say that a pod that stops is not ready, so that it leaves its Services", () => {
    assert.equal(condition(podStatus(podView(pod(), [view()], { terminating: true })), "Ready")?.reason, "PodTerminating");
  });

  test("tell what the spec asks for in vain", () => {
    const status = podStatus(podView(pod({ runtimeClassName: "gvisor" }), [view()]));
    assert.deepEqual(condition(status, "weft.dev/SpecHonoured")?.message, "spec.runtimeClassName: there is one runtime");
    assert.equal(condition(podStatus(podView(pod(), [view()])), "weft.dev/SpecHonoured"), undefined);
  });
});

describe("what a Pod cannot have", () => {
  for (const field of ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"])
    test(`${field} keeps it from running`, () =>
      assert.match(podProblem(pod({ [field]: true }))?.message ?? "", new RegExp(`^spec\\.${field}: true is not supported`)));

  const refused: readonly { readonly container: object; readonly message: RegExp }[] = [
    { container: { securityContext: { privileged: true } }, message: /securityContext\.privileged: true is not supported/ },
    { container: { securityContext: { runAsNonRoot: true, runAsUser: 0 } }, message: /breaks non-root policy/ },
    { container: { livenessProbe: { grpc: { port: 1 } } }, message: /livenessProbe\.grpc is not supported by this runtime; use httpGet/ },
    { container: { lifecycle: { preStop: { tcpSocket: { port: 1 } } } }, message: /preStop\.tcpSocket is not supported/ },
  ];
  for (const { container, message } of refused)
    test(`${JSON.stringify(container)} keeps the container from running`, () =>
      assert.match(containerProblem(pod(), { name: "app", ...container })?.message ?? "", message));

  const told: readonly { readonly container: object; readonly field: string }[] = [
    { container: { resources: { limits: { cpu: "1" } } }, field: "resources.limits" },
    { container: { tty: true }, field: "tty" },
    { container: { stdin: true }, field: "stdin" },
    { container: { securityContext: { capabilities: { add: ["NET_ADMIN"] } } }, field: "securityContext.capabilities.add" },
    { container: { securityContext: { seccompProfile: { type: "Unconfined" } } }, field: "securityContext.seccompProfile" },
  ];
  for (const { container, field } of told) {
    test(`${field} is told`, () => {
      const found = notHonoured(pod({ containers: [{ name: "app", ...container }] }));
      assert.deepEqual(
        found.map((each) => each.field),
        [`spec.containers[app].${field}`],
      );
    });
  }

  test("nothing is told of what is given, or of the mesh's own container", () => {
    const container = {
      securityContext: { capabilities: { add: ["NET_BIND_SERVICE"], drop: ["ALL"] }, seccompProfile: { type: "RuntimeDefault" } },
      resources: { requests: { cpu: "1" } },
      ports: [{ containerPort: 80, hostPort: 8080 }],
    };
    assert.deepEqual(
      notHonoured(
        pod({
          containers: [
            { name: "app", ...container },
            { name: "istio-proxy", resources: { limits: { cpu: "1" } } },
          ],
        }),
      ),
      [],
    );
  });
});

test("runAsNonRoot without a user gives an unprivileged one", () => {
  assert.deepEqual(effectiveIdentity(pod({ securityContext: { runAsNonRoot: true } }), { name: "app" }), { uid: 65532, gid: 65532 });
  assert.deepEqual(effectiveIdentity(pod({ securityContext: { runAsUser: 1000 } }), { name: "app", securityContext: { runAsGroup: 5 } }), {
    uid: 1000,
    gid: 5,
  });
});
