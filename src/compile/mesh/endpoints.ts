/** The ready endpoints of a service port, with the workloads behind them. */
import type { EndpointSlice } from "#model/discovery.ts";
import { objectKey } from "#model/object.ts";
import type { Provenance } from "#model/provenance.ts";
import { provenanceOf } from "./source.ts";
import type { MeshPort, MeshService } from "./service.ts";
import type { Workload } from "./workload.ts";

export interface MeshEndpoint {
  readonly address: string;
  readonly port: number;
  /** Absent: nothing that Kubernetes knows as a Pod. */
  readonly pod: string | undefined;
  readonly by: Provenance;
}

export const serviceNameLabel = "kubernetes.io/service-name";

/** By service key ("namespace/name"). */
export function slicesByService(slices: readonly EndpointSlice[]): ReadonlyMap<string, readonly EndpointSlice[]> {
  return Map.groupBy(slices, (slice) => `${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.[serviceNameLabel] ?? ""}`);
}

export function endpointsOf(service: MeshService, port: MeshPort, slices: readonly EndpointSlice[]): readonly MeshEndpoint[] {
  const found = new Map<string, MeshEndpoint>();
  for (const slice of slices) {
    const number = slice.ports?.find(({ name, protocol }) => (name ?? "") === port.name && (protocol ?? "TCP") === "TCP")?.port;
    if (number === undefined) continue;
    for (const endpoint of slice.endpoints) {
      if (endpoint.conditions?.ready === false) continue;
      const { targetRef } = endpoint;
      const pod = targetRef?.kind === "Pod" && targetRef.name !== undefined ? `${targetRef.namespace ?? service.namespace}/${targetRef.name}` : undefined;
      for (const address of endpoint.addresses) {
        const key = `${address} ${number}`;
        // By address, not by place: an endpoint that goes must not change the provenance of those behind it.
        if (!found.has(key)) found.set(key, { address, port: number, pod, by: provenanceOf(slice, `endpoints[${address}]`) });
      }
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

export function podsOf(slices: readonly EndpointSlice[]): readonly string[] {
  const keys = slices.flatMap((slice) =>
    slice.endpoints.flatMap(({ targetRef }) =>
      targetRef?.kind === "Pod" && targetRef.name !== undefined ? [`${targetRef.namespace ?? objectKey(slice).split("/")[0] ?? ""}/${targetRef.name}`] : [],
    ),
  );
  return [...new Set(keys)].sort();
}

/** Identities that may answer for a service: what clients accept in its certificates. */
export function identities(workloads: readonly (Workload | undefined)[]): readonly string[] {
  return [...new Set(workloads.flatMap((workload) => (workload?.proxy === undefined ? [] : [workload.spiffeId])))].sort();
}
