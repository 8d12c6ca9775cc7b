import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Deployment, ReplicaSet } from "#model/apps.ts";
import { limits, planRollout, replicasOf, templateHash } from "./rollout.ts";
import { deploymentStatus } from "./status.ts";

type Spec = Deployment["spec"];

function deployment(spec: Partial<Spec> = {}, image = "v1"): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default", uid: "d", generation: 1 },
    spec: { replicas: 4, selector: { matchLabels: { app: "web" } }, template: { spec: { containers: [{ name: "web", image }] } }, ...spec },
  };
}

function set(of: Deployment, facts: { replicas: number; available?: number; age?: number; pods?: number }): ReplicaSet {
  const hash = templateHash(of);
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name: `web-${hash}`,
      namespace: "default",
      labels: { "pod-template-hash": hash },
      annotations: { "deployment.kubernetes.io/revision": String(facts.age ?? 1) },
      creationTimestamp: `2026-01-01T00:00:0${facts.age ?? 1}Z`,
    },
    spec: { replicas: facts.replicas, selector: {}, template: of.spec.template },
    status: { replicas: facts.pods ?? facts.replicas, availableReplicas: facts.available ?? facts.replicas },
  };
}

function summary(of: Deployment, sets: ReplicaSet[]): string {
  const { current, create, scale, remove, revision } = planRollout(of, sets);
  return [
    ...(create === undefined ? [] : [`create ${replicasOf(create)}`]),
    ...scale.map((each) => `${each.set === current ? "new" : "old"} ${replicasOf(each.set)}->${each.replicas}`),
    ...remove.map((each) => `remove ${each.metadata.annotations?.["deployment.kubernetes.io/revision"]}`),
    `revision ${revision}`,
  ].join(", ");
}

describe("a rollout", () => {
  const old = deployment({}, "v0");
  const recreate = { strategy: { type: "Recreate" as const } };
  const cases: { name: string; of: Deployment; sets: ReplicaSet[]; want: string }[] = [
    { name: "starts with all replicas when there is nothing", of: deployment(), sets: [], want: "create 4, revision 1" },
    { name: "does nothing when all is done", of: deployment(), sets: [set(deployment(), { replicas: 4 })], want: "revision 1" },
    { name: "scales", of: deployment({ replicas: 6 }), sets: [set(deployment(), { replicas: 4 })], want: "new 4->6, revision 1" },
    { name: "starts a new template with the surge", of: deployment(), sets: [set(old, { replicas: 4 })], want: "create 1, revision 2" },
    {
      name: "takes old pods away only as far as enough are available",
      of: deployment(),
      sets: [set(old, { replicas: 4 }), set(deployment(), { replicas: 1, available: 0, age: 2 })],
      want: "old 4->3, revision 2",
    },
    {
      name: "goes on when the new pods are available",
      of: deployment(),
      sets: [set(old, { replicas: 3 }), set(deployment(), { replicas: 1, age: 2 })],
      want: "new 1->2, old 3->2, revision 2",
    },
    {
      name: "keeps the old pods when the new ones never become available",
      of: deployment(),
      sets: [set(old, { replicas: 3 }), set(deployment(), { replicas: 2, available: 0, age: 2 })],
      want: "revision 2",
    },
    {
      name: "takes broken old pods away first",
      of: deployment(),
      sets: [set(old, { replicas: 4, available: 3 }), set(deployment(), { replicas: 1, available: 0, age: 2 })],
      want: "old 4->3, revision 2",
    },
    {
      name: "goes back to a template that was there before, as a new revision",
      of: deployment(),
      sets: [set(deployment(), { replicas: 0, age: 1 }), set(old, { replicas: 4, age: 2 })],
      want: "new 0->1, old 4->3, revision 3",
    },
    { name: "Recreate: first away with the old", of: deployment(recreate), sets: [set(old, { replicas: 4 })], want: "old 4->0, revision 2" },
    { name: "Recreate: waits until they are gone", of: deployment(recreate), sets: [set(old, { replicas: 0, pods: 2 })], want: "revision 2" },
    { name: "Recreate: then all the new at once", of: deployment(recreate), sets: [set(old, { replicas: 0 })], want: "create 4, revision 2" },
    { name: "paused: a new template waits", of: deployment({ paused: true }), sets: [set(old, { replicas: 4 })], want: "revision 2" },
    { name: "paused: still scales", of: deployment({ paused: true, replicas: 5 }), sets: [set(old, { replicas: 4 })], want: "old 4->5, revision 2" },
    {
      name: "forgets revisions beyond the limit",
      of: deployment({ revisionHistoryLimit: 1 }),
      sets: [set(deployment({}, "a"), { replicas: 0, age: 1 }), set(deployment({}, "b"), { replicas: 0, age: 2 }), set(deployment(), { replicas: 4, age: 3 })],
      want: "remove 1, revision 3",
    },
  ];
  for (const { name, of, sets, want } of cases) it(name, () => assert.equal(summary(of, sets), want));

  it("never has more pods than replicas and surge, nor fewer available than allowed, whatever the order", () => {
    const of = deployment({ replicas: 7, strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 2, maxUnavailable: 1 } } });
    const replicas = { old: 7, new: 0 };
    for (let round = 0; round < 50; round++) {
      const sets = [
        set(old, { replicas: replicas.old }),
        ...(replicas.new === 0 ? [] : [set(of, { replicas: replicas.new, available: Math.min(replicas.new, round), age: 2 })]),
      ];
      const step = planRollout(of, sets);
      if (step.create !== undefined) replicas.new = replicasOf(step.create);
      for (const { set: target, replicas: count } of step.scale) replicas[target === step.current ? "new" : "old"] = count;
      assert.ok(replicas.old + replicas.new <= 9, JSON.stringify(replicas));
      assert.ok(replicas.old + Math.min(replicas.new, round) >= 6, JSON.stringify(replicas));
    }
    assert.deepEqual(replicas, { old: 0, new: 7 });
  });

  it("reads limits as Kubernetes does", () => {
    const of = (maxSurge: number | string, maxUnavailable: number | string, replicas: number) =>
      limits(deployment({ replicas, strategy: { rollingUpdate: { maxSurge, maxUnavailable } } }));
    assert.deepEqual(of("25%", "25%", 1), { maxSurge: 1, maxUnavailable: 0 });
    assert.deepEqual(of("25%", "25%", 10), { maxSurge: 3, maxUnavailable: 2 });
    assert.deepEqual(of(0, "10%", 3), { maxSurge: 0, maxUnavailable: 1 });
    assert.deepEqual(of(0, 9, 3), { maxSurge: 0, maxUnavailable: 3 });
  });
});

describe("a Deployment's status", () => {
  const now = "2026-01-01T00:10:00Z";
  it("says that it is done only when all pods are new and available", () => {
    const of = deployment();
    const current = set(of, { replicas: 4 });
    const reasons = (sets: ReplicaSet[]) => deploymentStatus(of, sets, { current, minAvailable: 3, now }).conditions?.map((each) => each.reason);
    assert.deepEqual(reasons([current]), ["MinimumReplicasAvailable", "NewReplicaSetAvailable"]);
    assert.deepEqual(reasons([current, set(deployment({}, "v0"), { replicas: 1 })]), ["MinimumReplicasAvailable", "ReplicaSetUpdated"]);
  });

  it("says when a rollout has not moved for its deadline, and keeps the times of what did not change", () => {
    const of = deployment({ progressDeadlineSeconds: 60 });
    const current = set(of, { replicas: 4, available: 0 });
    const first = deploymentStatus(of, [current], { current, minAvailable: 3, now });
    const later = deploymentStatus({ ...of, status: first }, [current], { current, minAvailable: 3, now: "2026-01-01T00:10:59Z" });
    assert.deepEqual(later, first);
    const last = deploymentStatus({ ...of, status: first }, [current], { current, minAvailable: 3, now: "2026-01-01T00:11:00Z" });
    assert.equal(last.conditions?.[1]?.reason, "ProgressDeadlineExceeded");
  });
});
