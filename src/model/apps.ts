/** apps/v1: Deployment, ReplicaSet. */
import { podTemplate } from "./core.ts";
import { labelSelector } from "./meta.ts";
import type { KubeObject } from "./object.ts";
import { bool, having, int32, int64, intOrString, mergeList, oneOfTexts, struct, text, time, type Static } from "./schema.ts";

const apps = (name: string) => ({ definition: `io.k8s.api.apps.v1.${name}` });
const count = having(int32, { minimum: 0 });
const conditionFields = { lastTransitionTime: time, reason: text, message: text };

export const deploymentSpec = struct(
  { selector: labelSelector, template: podTemplate },
  {
    replicas: having(count, { default: 1 }),
    strategy: struct(
      {},
      {
        type: oneOfTexts("Recreate", "RollingUpdate"),
        rollingUpdate: struct({}, { maxUnavailable: intOrString, maxSurge: intOrString }, apps("RollingUpdateDeployment")),
      },
      { ...apps("DeploymentStrategy"), patchStrategy: "retainKeys" },
    ),
    minReadySeconds: count,
    revisionHistoryLimit: having(count, { default: 10 }),
    paused: bool,
    progressDeadlineSeconds: having(count, { default: 600 }),
  },
  apps("DeploymentSpec"),
);
export const deploymentStatus = struct(
  {},
  {
    observedGeneration: int64,
    replicas: int32,
    updatedReplicas: int32,
    readyReplicas: int32,
    availableReplicas: int32,
    unavailableReplicas: int32,
    terminatingReplicas: int32,
    conditions: mergeList(struct({ type: text, status: text }, { ...conditionFields, lastUpdateTime: time }, apps("DeploymentCondition")), ["type"]),
    collisionCount: int32,
  },
  apps("DeploymentStatus"),
);
export interface Deployment extends KubeObject {
  readonly spec: Static<typeof deploymentSpec>;
  readonly status?: Static<typeof deploymentStatus>;
}

export const replicaSetSpec = struct(
  { selector: labelSelector },
  { replicas: having(count, { default: 1 }), minReadySeconds: count, template: podTemplate },
  apps("ReplicaSetSpec"),
);
export const replicaSetStatus = struct(
  { replicas: int32 },
  {
    fullyLabeledReplicas: int32,
    readyReplicas: int32,
    availableReplicas: int32,
    terminatingReplicas: int32,
    observedGeneration: int64,
    conditions: mergeList(struct({ type: text, status: text }, conditionFields, apps("ReplicaSetCondition")), ["type"]),
  },
  apps("ReplicaSetStatus"),
);
export interface ReplicaSet extends KubeObject {
  readonly spec: Static<typeof replicaSetSpec>;
  readonly status?: Static<typeof replicaSetStatus>;
}
