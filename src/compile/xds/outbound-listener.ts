/**
 * What a sidecar does with connections its pod opens. All are redirected to `virtualOutbound` (15001), which hands each to the
 * listener of its original destination: `0.0.0.0_<port>` for HTTP services on that port (told apart by host name),
 * `<address>_<port>` for TCP services; what fits neither goes where it was going. The same for all pods.
 */
import { create } from "@bufbuild/protobuf";
import { TrafficDirection } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Provenance } from "#model/provenance.ts";
import { encodeResource } from "./encode.ts";
import { httpConnectionManager, noAuthorization, tcpProxy } from "./filters.ts";
import { provenanceMetadata, socketAddress } from "./message.ts";
import { blackHoleCluster, httpListener, passthroughCluster } from "./names.ts";

export const outboundPort = 15001;

export function virtualOutbound(): EncodedResource {
  const listener = create(ListenerSchema, {
    name: "virtualOutbound",
    address: socketAddress("0.0.0.0", outboundPort),
    trafficDirection: TrafficDirection.OUTBOUND,
    useOriginalDst: true,
    filterChains: [
      // A connection to the listener itself would be passed on to itself for ever.
      { name: "virtualOutbound-blackhole", filterChainMatch: { destinationPort: outboundPort }, filters: [tcpProxy(blackHoleCluster)] },
      { name: "virtualOutbound-catchall-tcp", filters: [tcpProxy(passthroughCluster)] },
    ],
  });
  return encodeResource(ListenerSchema, "virtualOutbound", listener);
}

export function outboundHttp(port: number): EncodedResource {
  const name = httpListener(port);
  const listener = create(ListenerSchema, {
    name,
    address: socketAddress("0.0.0.0", port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      {
        name,
        filters: [httpConnectionManager({ statPrefix: `outbound_${name}`, routes: { rds: String(port) }, authorization: noAuthorization, isEdge: false })],
      },
    ],
  });
  return encodeResource(ListenerSchema, name, listener);
}

export interface TcpListenerFacts {
  readonly address: string;
  readonly port: number;
  readonly cluster: string;
  readonly by: Provenance;
}

export function outboundTcp({ address, port, cluster, by }: TcpListenerFacts): EncodedResource {
  const name = `${address}_${port}`;
  const listener = create(ListenerSchema, {
    name,
    address: socketAddress(address, port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [{ name, filters: [tcpProxy(cluster)], metadata: provenanceMetadata(by) }],
    metadata: provenanceMetadata(by),
  });
  return encodeResource(ListenerSchema, name, listener, by);
}
