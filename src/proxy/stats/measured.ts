/** What metrics look at when a request or a TCP connection is over. */
import type { PeerIdentity } from "#decide/request-view.ts";
import type { Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";

export interface Measured {
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly flags: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly authority: string;
  readonly clusterName: string | undefined;
  readonly clusterMessage: Cluster | undefined;
  readonly endpointMetadata: string | undefined;
  /** Whom the upstream's certificate names. */
  readonly upstreamPrincipal: string | undefined;
  readonly peer: PeerIdentity | undefined;
}

export interface MeasuredRequest extends Measured {
  readonly status: number;
  readonly durationMs: number;
}

export interface TrafficMetrics {
  record(request: MeasuredRequest): void;
  opened(connection: Measured): void;
  closed(connection: Measured): void;
}
