/** Keeps the EndpointSlices of every Service that has a selector. */
import { structurallyEqual } from "#lib/equal.ts";
import type { Pod, Service } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { KubeObject } from "#model/object.ts";
import type { Controller, ControllerContext } from "#control/control-api.ts";
import { desiredSlices, MANAGED_BY, MANAGER, SERVICE_NAME } from "./slices.ts";

/** The unit of work is a namespace: which of its Services a pod belongs to may just have changed with its labels. */
const namespaceOf = (object: KubeObject): readonly string[] => [object.metadata.namespace ?? ""];

export const endpointSlices: Controller = {
  name: "endpoint slices",
  concurrency: 8,
  watches: { Service: namespaceOf, Pod: namespaceOf, EndpointSlice: (slice) => (isOurs(slice) ? namespaceOf(slice) : []) },
  async reconcile(context, namespace) {
    const pods = context.world.inNamespace("Pod", namespace);
    const ours = Map.groupBy(context.world.inNamespace("EndpointSlice", namespace).filter(isOurs), (slice) => slice.metadata.labels?.[SERVICE_NAME]);
    const services = context.world.inNamespace("Service", namespace);
    await Promise.all(services.map((service) => reconcileService(context, { service, pods, existing: ours.get(service.metadata.name) ?? [] })));
  },
};

interface Work {
  readonly service: Service;
  readonly pods: readonly Pod[];
  readonly existing: readonly EndpointSlice[];
}

async function reconcileService({ writer }: ControllerContext, { service, pods, existing }: Work): Promise<void> {
  // What belongs to a deleted Service goes with it: the API server collects by owner.
  if (service.metadata.deletionTimestamp !== undefined) return;
  const desired = desiredSlices(service, pods) ?? [];
  for (const slice of desired) {
    const before = existing.find((other) => other.metadata.name === slice.metadata.name);
    if (before === undefined) await writer.create("EndpointSlice", slice);
    else if (!isSame(before, slice)) {
      await writer.patch("EndpointSlice", before, { metadata: { labels: slice.metadata.labels }, endpoints: slice.endpoints, ports: slice.ports });
    }
  }
  // Last, so that an endpoint that moves to another slice is never in none.
  for (const slice of existing) if (!desired.some((other) => other.metadata.name === slice.metadata.name)) await writer.remove("EndpointSlice", slice);
}

function isOurs(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.[MANAGED_BY] === MANAGER;
}

function isSame(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    structurallyEqual(a.endpoints, b.endpoints) && structurallyEqual(a.ports ?? [], b.ports ?? []) && structurallyEqual(a.metadata.labels, b.metadata.labels)
  );
}
