/** metadata of every object, label selectors and conditions (apimachinery meta/v1). */
import { anything, bool, having, int64, list, mapOf, mergeList, setOf, struct, text, time, type Static } from "./schema.ts";

export const labelMap = mapOf(text);

const ownerReference = struct(
  { apiVersion: text, kind: text, name: text, uid: text },
  { controller: bool, blockOwnerDeletion: bool },
  { definition: "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference", mapType: "atomic" },
);

const managedFields = struct(
  {},
  {
    manager: text,
    operation: text,
    apiVersion: text,
    time: time,
    fieldsType: text,
    fieldsV1: having(anything, { type: "object", preserveUnknown: true }),
    subresource: text,
  },
  { definition: "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry" },
);

/** Its type is ObjectMeta (object.ts). */
export const objectMeta = struct(
  {},
  {
    name: text,
    generateName: text,
    namespace: text,
    selfLink: text,
    uid: text,
    resourceVersion: text,
    generation: int64,
    creationTimestamp: having(time, { nullable: true }),
    deletionTimestamp: time,
    deletionGracePeriodSeconds: int64,
    labels: labelMap,
    annotations: labelMap,
    ownerReferences: mergeList(ownerReference, ["uid"]),
    finalizers: setOf(text, { patchStrategy: "merge" }),
    managedFields: list(managedFields),
  },
  { definition: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" },
);

const labelSelectorRequirement = struct(
  { key: text, operator: text },
  { values: list(text) },
  { definition: "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement" },
);

export const labelSelector = struct(
  {},
  { matchLabels: labelMap, matchExpressions: list(labelSelectorRequirement) },
  { definition: "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", mapType: "atomic" },
);
export type LabelSelector = Static<typeof labelSelector>;

/** metav1.Condition: statuses of the newer APIs (Gateway API). */
export const condition = struct(
  {
    type: having(text, {
      maxLength: 316,
      pattern: /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/,
    }),
    status: having(text, { enum: ["True", "False", "Unknown"] }),
    lastTransitionTime: time,
    reason: having(text, { minLength: 1, maxLength: 1024, pattern: /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/ }),
    message: having(text, { maxLength: 32768 }),
  },
  { observedGeneration: having(int64, { minimum: 0 }) },
  { definition: "io.k8s.apimachinery.pkg.apis.meta.v1.Condition" },
);
