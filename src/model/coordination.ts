/** coordination.k8s.io/v1: Lease. */
import type { KubeObject } from "./object.ts";
import { int32, struct, text, time, type Static } from "./schema.ts";

export const leaseSpec = struct(
  {},
  { holderIdentity: text, leaseDurationSeconds: int32, acquireTime: time, renewTime: time, leaseTransitions: int32, strategy: text, preferredHolder: text },
  { definition: "io.k8s.api.coordination.v1.LeaseSpec" },
);
export interface Lease extends KubeObject {
  readonly spec?: Static<typeof leaseSpec>;
}
