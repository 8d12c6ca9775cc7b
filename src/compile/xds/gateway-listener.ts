/**
 * A gateway's listeners, one for each port that its servers need. On a port plain HTTP has one filter chain for all servers;
 * each server that ends TLS has its own, found by the name that the client asks for (SNI).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TrafficDirection } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import type { FilterChainSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import { TlsInspectorSchema } from "#wire/envoy/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { authorizationRules, type Authorization } from "#compile/mesh/authorization.ts";
import type { GatewayServer } from "#compile/mesh/gateway.ts";
import type { AuthorizationPolicy } from "#model/istio.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { encodeResource } from "./encode.ts";
import { httpConnectionManager } from "./filters.ts";
import { extension, provenanceMetadata, socketAddress } from "./message.ts";
import { gatewayRoutes, gatewayTlsRoutes, httpListener } from "./names.ts";
import { gatewaySocket } from "./tls.ts";

type FilterChain = MessageInitShape<typeof FilterChainSchema>;

/** `servers` are those of the port, in order of precedence. */
export function gatewayListener(port: number, servers: readonly GatewayServer[], policies: readonly AuthorizationPolicy[]): EncodedResource {
  const name = httpListener(port);
  const authorization = authorizationRules(policies, "http");
  const [plain] = servers.filter(({ secret }) => secret === undefined);
  const tls = tlsChains(port, servers, authorization);
  const filter = (rds: string) => httpConnectionManager({ statPrefix: `outbound_${name}`, routes: { rds }, authorization, isEdge: true });
  const plainChain: FilterChain[] =
    plain === undefined
      ? []
      : [
          {
            name,
            ...(tls.length === 0 ? {} : { filterChainMatch: { transportProtocol: "raw_buffer" } }),
            filters: [filter(gatewayRoutes(port))],
            metadata: provenanceMetadata(plain.by),
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

/** Of two servers for one name the first has it: Envoy refuses a listener with two chains for the same. */
function tlsChains(port: number, servers: readonly GatewayServer[], authorization: Authorization): readonly FilterChain[] {
  const taken = new Set<string>();
  return servers.flatMap(({ secret, section, gateway, hosts, by }): FilterChain[] => {
    if (secret === undefined) return [];
    const names = hosts.map(({ host }) => host).filter((host) => !taken.has(host));
    for (const host of names) taken.add(host);
    if (names.length === 0) return [];
    const rds = gatewayTlsRoutes(port, section, gateway);
    return [
      {
        name: rds,
        filterChainMatch: { transportProtocol: "tls", ...(names.includes("*") ? {} : { serverNames: names }) },
        transportSocket: gatewaySocket(secret),
        filters: [httpConnectionManager({ statPrefix: `outbound_${httpListener(port)}`, routes: { rds }, authorization, isEdge: true })],
        metadata: provenanceMetadata(by),
      },
    ];
  });
}
