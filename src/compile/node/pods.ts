/** Which pods have which addresses: what the API says, and for this node's own pods what its agent knows before. */
import type { Pod } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { WorldReader } from "#model/world.ts";
import type { NodeSelf } from "./self.ts";
import type { LocalPod } from "./settings.ts";

/** A pod with an address in the pod network. */
export interface AddressedPod {
  readonly pod: Pod;
  readonly ip: string;
}

/** What compilers of a node read: the World and the pods that its agent has wired. */
export interface NodeReader extends WorldReader {
  localPod(uid: string): LocalPod | undefined;
  localPods(): readonly LocalPod[];
  self(): NodeSelf;
  /** Of one Service ("namespace/name"), by an index: a change of a slice concerns its Service and no other. */
  slicesOf(service: string): readonly EndpointSlice[];
}

/** undefined: it has none (yet, any more, or it shares its node's). */
export function addressOf(reader: NodeReader, pod: Pod): string | undefined {
  if (pod.spec.hostNetwork === true) return undefined;
  const wired = pod.metadata.uid === undefined ? undefined : reader.localPod(pod.metadata.uid);
  if (wired !== undefined) return wired.ip;
  if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") return undefined;
  return pod.status?.podIP;
}

export function podsOf(reader: NodeReader, namespace: string): AddressedPod[] {
  return addressed(reader, reader.inNamespace("Pod", namespace));
}

export function addressed(reader: NodeReader, pods: readonly Pod[]): AddressedPod[] {
  return pods.flatMap((pod) => {
    const ip = addressOf(reader, pod);
    return ip === undefined ? [] : [{ pod, ip }];
  });
}

/** This node's pods, by address order of the reader: those that the agent wired, and those that the API says run here. */
export function podsOnNode(reader: NodeReader, node: string): LocalPod[] {
  const wired = reader.localPods();
  const known = new Set(wired.map(({ uid }) => uid));
  const told = addressed(
    reader,
    reader.all("Pod").filter((pod) => pod.spec.nodeName === node),
  ).filter(({ pod }) => !known.has(uidOf(pod)));
  return [...wired, ...told.map(({ pod, ip }) => ({ uid: uidOf(pod), namespace: pod.metadata.namespace ?? "", name: pod.metadata.name, ip }))];
}

/** Pods in files have no uid yet. */
export function uidOf(pod: Pod): string {
  return pod.metadata.uid ?? `${pod.metadata.namespace ?? ""}/${pod.metadata.name}`;
}
