/** The API server as the pod runtime needs it. */
import type { Event, Node, Pod, PodStatus } from "#model/core.ts";
import type { Lease } from "#model/coordination.ts";
import type { Sources } from "./environment.ts";

export interface Cluster {
  /** Bound to this node, by namespace/name. */
  pods(): ReadonlyMap<string, Pod>;
  sources(namespace: string): Sources;
  /** Of a pod that is gone meanwhile: nothing happens. */
  writeStatus(pod: Pod, status: PodStatus): Promise<void>;
  /** Removes the object of a pod that is stopped; a newer pod of the same name stays. */
  remove(pod: Pod): Promise<void>;
  createEvent(event: Event): Promise<void>;
  /** The same event again. */
  updateEvent(event: Event): Promise<void>;
  /** Creates the Node when it is not there; its spec is only set then. */
  writeNode(node: Node): Promise<void>;
  renewLease(lease: Lease): Promise<void>;
}
