/** ClusterLoadAssignment: the endpoints of a service port or subset, the same for all clients. */
import { create } from "@bufbuild/protobuf";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { LbEndpointSchema, type LbEndpoint } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { MeshEndpoint } from "#compile/mesh/endpoints.ts";
import type { Workload } from "#compile/mesh/workload.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { formatProvenance } from "#model/provenance.ts";
import { encodeResource } from "./encode.ts";
import { socketAddress } from "./message.ts";

export interface SecuredEndpoint extends MeshEndpoint {
  /** A proxy that accepts mTLS answers there. */
  readonly mtls: boolean;
  /** Of the pod; absent for endpoints that are none. */
  readonly workload: Workload | undefined;
}

export function loadAssignment(clusterName: string, endpoints: readonly SecuredEndpoint[]): EncodedResource {
  const message = create(ClusterLoadAssignmentSchema, {
    clusterName,
    endpoints: endpoints.length === 0 ? [] : [{ lbEndpoints: endpoints.map(lbEndpoint), loadBalancingWeight: endpoints.length }],
  });
  return encodeResource(ClusterLoadAssignmentSchema, clusterName, message);
}

function lbEndpoint({ address, port, pod, mtls, workload, by }: SecuredEndpoint): LbEndpoint {
  const weft = { by: formatProvenance(by), ...(pod === undefined ? {} : { pod }) };
  return create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: { address: socketAddress(address, port) } },
    metadata: {
      filterMetadata: {
        "weft.dev": weft,
        ...(mtls ? { "envoy.transport_socket_match": { tlsMode: "istio" } } : {}),
        ...(workload === undefined ? {} : { istio: { workload: workloadText(workload) } }),
      },
    },
    loadBalancingWeight: 1,
  });
}

/** As Istio tells it, for the metrics of clients: "workload;namespace;canonical service;canonical revision;cluster". */
function workloadText({ name, namespace, labels }: Workload): string {
  const workload = name.replace(/-[a-z0-9]{6,10}-[a-z0-9]{5}$/, "");
  const canonical = labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"] ?? workload;
  const revision = labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"] ?? labels["version"] ?? "latest";
  return [workload, namespace, canonical, revision, "Kubernetes"].join(";");
}
