/**
 * What a sidecar does with connections to its pod: `virtualInbound` (15006) tells them apart by original port and by whether
 * they bring mesh TLS. STRICT has no chain for plain text, so such a connection is closed before a byte is read.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TrafficDirection } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import type { FilterChainMatchSchema, FilterChainSchema, FilterSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_components_pb.ts";
import { OriginalDstSchema } from "#wire/envoy/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts";
import { TlsInspectorSchema } from "#wire/envoy/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { authorizationRules } from "#compile/mesh/authorization.ts";
import { peerModeOf, type PeerMode, type PeerModes } from "#compile/mesh/peer-authentication.ts";
import type { InboundPort } from "#compile/mesh/workload.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Provenance } from "#model/provenance.ts";
import type { AuthorizationPolicy } from "#model/istio.ts";
import { encodeResource } from "./encode.ts";
import { httpConnectionManager, networkRbac, tcpProxy } from "./filters.ts";
import { extension, provenanceMetadata, socketAddress } from "./message.ts";
import { blackHoleCluster, inboundCluster, inboundPassthroughCluster } from "./names.ts";
import { inboundRoutes } from "./routes.ts";
import { meshAlpns, serverSocket } from "./tls.ts";

export const inboundPort = 15006;

export interface InboundFacts {
  readonly ports: readonly InboundPort[];
  readonly peers: PeerModes;
  /** Those that select the workload. */
  readonly policies: readonly AuthorizationPolicy[];
}

type FilterChain = MessageInitShape<typeof FilterChainSchema>;
type FilterChainMatch = MessageInitShape<typeof FilterChainMatchSchema>;
type Filter = MessageInitShape<typeof FilterSchema>;

export function virtualInbound({ ports, peers, policies }: InboundFacts): EncodedResource {
  const listener = create(ListenerSchema, {
    name: "virtualInbound",
    address: socketAddress("0.0.0.0", inboundPort),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [
      extension("envoy.filters.listener.original_dst", OriginalDstSchema, {}),
      extension("envoy.filters.listener.tls_inspector", TlsInspectorSchema, {}),
    ],
    filterChains: [
      { name: "virtualInbound-blackhole", filterChainMatch: { destinationPort: inboundPort }, filters: [tcpProxy(blackHoleCluster)] },
      ...ports.flatMap((port) => servicePortChains(port, peerModeOf(peers, port.port), policies)),
      ...unclaimedPorts(ports, peers).flatMap(([port, mode]) => otherPortChains(port, mode, policies)),
      ...otherPortChains(undefined, peers.base, policies),
    ],
  });
  return encodeResource(ListenerSchema, "virtualInbound", listener);
}

/** Ports that no service exposes but a PeerAuthentication names. */
function unclaimedPorts(ports: readonly InboundPort[], { ports: modes }: PeerModes): readonly (readonly [number, PeerMode])[] {
  const claimed = new Set(ports.map(({ port }) => port));
  return Object.entries(modes).flatMap(([port, mode]) => (claimed.has(Number(port)) ? [] : [[Number(port), mode] as const]));
}

function servicePortChains(inbound: InboundPort, mode: PeerMode, policies: readonly AuthorizationPolicy[]): readonly FilterChain[] {
  const { port, servicePort } = inbound;
  const isHttp = servicePort.protocol === "http";
  return chains({
    port,
    mode,
    by: servicePort.by,
    passesForeignTls: !isHttp,
    filters: isHttp ? httpFilters(inbound, policies) : tcpFilters(inboundCluster(port), policies),
  });
}

function otherPortChains(port: number | undefined, mode: PeerMode, policies: readonly AuthorizationPolicy[]): readonly FilterChain[] {
  return chains({ port, mode, by: undefined, passesForeignTls: true, filters: tcpFilters(inboundPassthroughCluster, policies) });
}

interface ChainFacts {
  /** undefined: every port that has no chain of its own. */
  readonly port: number | undefined;
  readonly mode: PeerMode;
  /** What made the port known, when no PeerAuthentication decides. */
  readonly by: Provenance | undefined;
  /** TLS that is not the mesh's belongs to the application. */
  readonly passesForeignTls: boolean;
  readonly filters: Filter[];
}

function chains({ port, mode: { mode, by: modeBy }, by, passesForeignTls, filters }: ChainFacts): readonly FilterChain[] {
  const where: FilterChainMatch = port === undefined ? {} : { destinationPort: port };
  const name = port === undefined ? "virtualInbound-catchall" : `0.0.0.0_${port}`;
  const source = modeBy ?? by;
  const metadata = source === undefined ? {} : { metadata: provenanceMetadata(source, { port: by }) };
  const withTls = (alpns: string[]): FilterChain => ({
    name: `${name}-mtls`,
    filterChainMatch: { ...where, transportProtocol: "tls", applicationProtocols: alpns },
    transportSocket: serverSocket(),
    filters,
    ...metadata,
  });
  const plain: FilterChain = { name, filterChainMatch: { ...where, transportProtocol: "raw_buffer" }, filters, ...metadata };
  const foreign: FilterChain = { name: `${name}-tls`, filterChainMatch: { ...where, transportProtocol: "tls" }, filters, ...metadata };
  switch (mode) {
    case "STRICT":
      return [withTls([])];
    case "PERMISSIVE":
      return [withTls(meshAlpns), plain, ...(passesForeignTls ? [foreign] : [])];
    case "DISABLE":
      return [plain, ...(passesForeignTls ? [foreign] : [])];
  }
}

function httpFilters({ port, servicePort }: InboundPort, policies: readonly AuthorizationPolicy[]): Filter[] {
  const cluster = inboundCluster(port);
  const routes = { inline: inboundRoutes(cluster, servicePort.number, servicePort.by) };
  return [httpConnectionManager({ statPrefix: `inbound_0.0.0.0_${port}`, routes, authorization: authorizationRules(policies, "http"), isEdge: false })];
}

function tcpFilters(cluster: string, policies: readonly AuthorizationPolicy[]): Filter[] {
  return [...networkRbac(authorizationRules(policies, "tcp"), "tcp."), tcpProxy(cluster)];
}
