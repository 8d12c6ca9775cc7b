/** Clusters: one per service port and subset, shared by all clients; and the few that every proxy has. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type Cluster_TransportSocketMatchSchema,
  ClusterSchema,
} from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { BindConfigSchema, type BindConfig } from "#wire/envoy/gen/envoy/config/core/v3/address_pb.ts";
import type { TransportSocketSchema } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import type { Balancing, TrafficPolicy } from "#compile/mesh/destination-rule.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Provenance } from "#model/provenance.ts";
import { encodeResource } from "./encode.ts";
import { ads, durationOf, provenanceMetadata } from "./message.ts";
import { blackHoleCluster, inboundCluster, inboundPassthroughCluster, outboundCluster, passthroughCluster, sniOf, type OutboundCluster } from "./names.ts";
import { clientSocket, plainSocket } from "./tls.ts";

type TransportSocket = MessageInitShape<typeof TransportSocketSchema>;
type TransportSocketMatch = MessageInitShape<typeof Cluster_TransportSocketMatchSchema>;

/** Istio's default. */
const connectTimeoutMs = 10_000;

const balancing: Readonly<Record<Balancing, Cluster_LbPolicy>> = {
  ROUND_ROBIN: Cluster_LbPolicy.ROUND_ROBIN,
  LEAST_REQUEST: Cluster_LbPolicy.LEAST_REQUEST,
  RANDOM: Cluster_LbPolicy.RANDOM,
};

export interface OutboundClusterFacts extends OutboundCluster {
  readonly policy: TrafficPolicy;
  /** Who may answer. */
  readonly identities: readonly string[];
  /** The service's port, or the subset. */
  readonly by: Provenance;
}

export function outbound(facts: OutboundClusterFacts): EncodedResource {
  const name = outboundCluster(facts);
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ads(), serviceName: name },
    connectTimeout: durationOf(connectTimeoutMs),
    lbPolicy: balancing[facts.policy.balancing],
    metadata: provenanceMetadata(facts.by, { tls: facts.policy.tlsBy }),
    ...securityOf(facts),
  });
  return encodeResource(ClusterSchema, name, cluster, facts.by);
}

/** Which endpoints get mTLS: all, none, or those whose metadata says that a proxy answers there. */
function securityOf(facts: OutboundClusterFacts): { transportSocket?: TransportSocket; transportSocketMatches?: TransportSocketMatch[] } {
  const tls = () => clientSocket(facts.identities, sniOf(facts));
  switch (facts.policy.tls) {
    case "DISABLE":
      return {};
    case "ISTIO_MUTUAL":
      return { transportSocket: tls() };
    case "AUTO":
      return {
        transportSocketMatches: [
          { name: "tlsMode-istio", match: { tlsMode: "istio" }, transportSocket: tls() },
          { name: "tlsMode-disabled", match: {}, transportSocket: plainSocket() },
        ],
      };
  }
}

/** To wherever the connection was going. */
function originalDestination(name: string, bind: { readonly upstreamBindConfig?: BindConfig } = {}, by?: Provenance): EncodedResource {
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationOf(connectTimeoutMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    ...bind,
    ...(by === undefined ? {} : { metadata: provenanceMetadata(by) }),
  });
  return encodeResource(ClusterSchema, name, cluster, by);
}

/**
 * What goes to the application comes from an address of its own: by it the pod's rules know these connections from those of
 * a pod that calls itself through a service, which do pass the proxy. They need no mark beside it: they stay in the pod. (A
 * cluster's own binding replaces the bootstrap's, which has the mark where proxies have the capability for one.)
 */
function toApplication(): { readonly upstreamBindConfig: BindConfig } {
  const sourceAddress = { address: "127.0.0.6", portSpecifier: { case: "portValue" as const, value: 0 } };
  return { upstreamBindConfig: create(BindConfigSchema, { sourceAddress }) };
}

export function passthrough(): EncodedResource {
  return originalDestination(passthroughCluster);
}

export function inboundPassthrough(): EncodedResource {
  return originalDestination(inboundPassthroughCluster, toApplication());
}

/** The application, at the pod's address: it is the original destination of what was intercepted on its way in. */
export function inbound(port: number, by: Provenance): EncodedResource {
  return originalDestination(inboundCluster(port), toApplication(), by);
}

export function blackHole(): EncodedResource {
  const cluster = create(ClusterSchema, {
    name: blackHoleCluster,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOf(connectTimeoutMs),
  });
  return encodeResource(ClusterSchema, blackHoleCluster, cluster);
}
