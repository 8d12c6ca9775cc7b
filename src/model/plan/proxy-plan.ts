/**
 * What one proxy must know: xDS resources by type url and name. Compilers make it (compile/mesh), the xDS server serves
 * it. A resource is encoded once and shared by all plans that hold it: two plans that see the same cluster hold the same
 * `EncodedResource`, so comparing is by identity or by `version`.
 */
import type { Provenance } from "#model/provenance.ts";

/** The type urls of Envoy's v3 API that Weft serves. */
export const XDS_TYPES = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoints: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  routes: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
} as const;

export interface EncodedResource {
  readonly name: string;
  /** Hash of `bytes`: the same content has the same version in every process and after every restart. */
  readonly version: string;
  /** The encoded message itself, not wrapped in google.protobuf.Any. */
  readonly bytes: Uint8Array;
  /** The object it came from, when it came from a single one. */
  readonly by?: Provenance;
}

export interface ProxyPlan {
  /** Type url -> resource name -> resource. A type that is absent is not known yet: who asks for it waits. */
  readonly resources: ReadonlyMap<string, ReadonlyMap<string, EncodedResource>>;
}

/** Where the xDS server finds plans. A proxy is its pod's key: "namespace/name". */
export interface ProxyPlans {
  /** undefined: there is no such pod, or it has no proxy. The same object as before when nothing changed. */
  planOf(proxy: string): ProxyPlan | undefined;
  /** Calls `changed` after each change of the World; the server compares plans itself. */
  onChange(changed: () => void): { close(): void };
}
