/** A gateway's listeners: plain HTTP from outside, one for each port that its servers need. */
import { create } from "@bufbuild/protobuf";
import { TrafficDirection } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { authorizationRules } from "#compile/mesh/authorization.ts";
import type { AuthorizationPolicy } from "#model/istio.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Provenance } from "#model/provenance.ts";
import { encodeResource } from "./encode.ts";
import { httpConnectionManager } from "./filters.ts";
import { provenanceMetadata, socketAddress } from "./message.ts";
import { gatewayRoutes, httpListener } from "./names.ts";

export function gatewayListener(port: number, policies: readonly AuthorizationPolicy[], by: Provenance): EncodedResource {
  const name = httpListener(port);
  const http = httpConnectionManager({
    statPrefix: `outbound_${name}`,
    routes: { rds: gatewayRoutes(port) },
    authorization: authorizationRules(policies, "http"),
    isEdge: true,
  });
  const listener = create(ListenerSchema, {
    name,
    address: socketAddress("0.0.0.0", port),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [{ name, filters: [http], metadata: provenanceMetadata(by) }],
  });
  return encodeResource(ListenerSchema, name, listener, by);
}
