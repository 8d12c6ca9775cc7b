/** Keeps the EndpointSlices of every Service that has a selector. */
import { structurallyEqual } from "#lib/equal.ts";
import type { Pod } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { keyOf } from "#model/object.ts";
import type { Controller } from "#control/control-api.ts";
import { ownKey, splitKey } from "#control/owner-keys.ts";
import { desiredSlices, MANAGED_BY, MANAGER, SERVICE_NAME } from "./slices.ts";

/** A namespace stands for its Services: which of them a pod belongs to may just have changed with its labels. */
const namespaceOf = (pod: Pod): readonly string[] => [`${pod.metadata.namespace ?? ""}/`];

export const endpointSlices: Controller = {
  name: "endpoint slices",
  concurrency: 8,
  watches: { Service: ownKey, Pod: namespaceOf, EndpointSlice: (slice) => serviceOf(slice) },
  async reconcile(context, key) {
    const { namespace, name } = splitKey(key);
    const services = context.world.inNamespace("Service", namespace);
    const pods = context.world.inNamespace("Pod", namespace);
    const mine = context.world.inNamespace("EndpointSlice", namespace).filter((slice) => slice.metadata.labels?.[MANAGED_BY] === MANAGER);
    for (const service of services) {
      if (name !== "" && service.metadata.name !== name) continue;
      const desired = service.metadata.deletionTimestamp === undefined ? (desiredSlices(service, [...pods]) ?? []) : [];
      const existing = mine.filter((slice) => slice.metadata.labels?.[SERVICE_NAME] === service.metadata.name);
      for (const slice of desired) {
        const before = existing.find((other) => other.metadata.name === slice.metadata.name);
        if (before === undefined) await context.writer.create("EndpointSlice", slice);
        else if (!isSame(before, slice)) {
          await context.writer.patch("EndpointSlice", before, { metadata: { labels: slice.metadata.labels }, endpoints: slice.endpoints, ports: slice.ports });
        }
      }
      // Last, so that an endpoint that moves to another slice is never in none.
      for (const slice of existing)
        if (!desired.some((other) => other.metadata.name === slice.metadata.name)) await context.writer.remove("EndpointSlice", slice);
    }
  },
};

function serviceOf(slice: EndpointSlice): readonly string[] {
  const name = slice.metadata.labels?.[SERVICE_NAME];
  return name === undefined || slice.metadata.labels?.[MANAGED_BY] !== MANAGER ? [] : [keyOf(slice.metadata.namespace, name)];
}

function isSame(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    structurallyEqual(a.endpoints, b.endpoints) && structurallyEqual(a.ports ?? [], b.ports ?? []) && structurallyEqual(a.metadata.labels, b.metadata.labels)
  );
}
