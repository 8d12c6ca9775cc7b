/** What looks at an object before it is stored: changes it, warns, or refuses it. */
import type { KindId } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import type { Namespace, Pod } from "#model/core.ts";
import type { Problem } from "#model/problem.ts";
import type { User } from "./authorization.ts";

export type Operation = "CREATE" | "UPDATE";

export interface AdmissionContext {
  readonly operation: Operation;
  readonly kind: KindId;
  readonly namespace: string | undefined;
  /** As stored; undefined for cluster-scoped kinds. */
  readonly namespaceObject: Namespace | undefined;
  /** On update. */
  readonly old: KubeObject | undefined;
  readonly user: User;
  readonly dryRun: boolean;
  /** Goes to the client as a Warning header; kubectl prints it. */
  warn(text: string): void;
}

/** Pure and synchronous: writes are serialised around it. Called with a complete object (defaults filled in), before validation. */
export type Admission = (object: KubeObject, context: AdmissionContext) => KubeObject | readonly Problem[];

/** Kubernetes' ServiceAccount admission, as far as Weft needs it: every pod has an account. */
export const podServiceAccount: Admission = (object, { kind, operation }) => {
  if (kind !== "Pod" || operation !== "CREATE") return object;
  const pod = object as Pod;
  if ((pod.spec.serviceAccountName ?? "") !== "") return object;
  return { ...pod, spec: { ...pod.spec, serviceAccountName: "default", serviceAccount: "default" } } as KubeObject;
};
