/**
 * A gateway's listeners, one for each port that its servers need. On a port plain HTTP has one filter chain for all servers;
 * each server that ends TLS has its own, found by the name that the client asks for (SNI).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TrafficDirection } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import type { FilterChainSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import { TlsInspectorSchema } from "#wire/envoy/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { authorizationRules } from "#compile/mesh/authorization.ts";
import type { GatewayServer } from "#compile/mesh/gateway.ts";
import { tlsNames } from "#compile/mesh/gateway-names.ts";
import type { AuthorizationPolicy } from "#model/istio.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { encodeResource } from "./encode.ts";
import { httpConnectionManager } from "./filters.ts";
import { extension, provenanceMetadata, socketAddress } from "./message.ts";
import { gatewayRoutes, gatewayTlsRoutes, httpListener } from "./names.ts";
import { gatewaySocket } from "./tls.ts";

type FilterChain = MessageInitShape<typeof FilterChainSchema>;

/** Policies of a server: those for its pods, and those for its Gateway. */
export type PoliciesOf = (server: GatewayServer) => readonly AuthorizationPolicy[];

/** `servers` are those of the port, in order of precedence. */
export function gatewayListener(port: number, servers: readonly GatewayServer[], policiesOf: PoliciesOf): EncodedResource {
  const name = httpListener(port);
  const plain = servers.filter(({ secret }) => secret === undefined);
  const tls = tlsChains(port, servers, policiesOf);
  const [first] = plain;
  const plainChain: FilterChain[] =
    first === undefined
      ? []
      : [
          {
            name,
            ...(tls.length === 0 ? {} : { filterChainMatch: { transportProtocol: "raw_buffer" } }),
            filters: [edge(port, gatewayRoutes(port), plain.flatMap(policiesOf))],
            metadata: provenanceMetadata(first.by),
          },
        ];
  const listener = create(ListenerSchema, {
    name,
    address: socketAddress("0.0.0.0", port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: tls.length === 0 ? [] : [extension("envoy.filters.listener.tls_inspector", TlsInspectorSchema, {})],
    filterChains: [...plainChain, ...tls],
  });
  return encodeResource(ListenerSchema, name, listener, servers[0]?.by);
}

function edge(port: number, rds: string, policies: readonly AuthorizationPolicy[]): ReturnType<typeof httpConnectionManager> {
  const authorization = authorizationRules([...new Set(policies)], "http");
  return httpConnectionManager({ statPrefix: `outbound_${httpListener(port)}`, routes: { rds }, authorization, isEdge: true });
}

/** One a server: Envoy refuses a listener with two chains for the same name. */
function tlsChains(port: number, servers: readonly GatewayServer[], policiesOf: PoliciesOf): readonly FilterChain[] {
  return tlsNames(servers).flatMap(({ server, names }): FilterChain[] => {
    const { secret, section, gateway, by } = server;
    if (names.length === 0 || secret === undefined) return [];
    const rds = gatewayTlsRoutes(port, section, gateway);
    return [
      {
        name: rds,
        filterChainMatch: { transportProtocol: "tls", ...(names.includes("*") ? {} : { serverNames: [...names] }) },
        transportSocket: gatewaySocket(secret),
        filters: [edge(port, rds, policiesOf(server))],
        metadata: provenanceMetadata(by),
      },
    ];
  });
}
