/** The kinds that the mesh is compiled from. Secrets are followed one by one (named-secrets.ts); the rest of the cluster is not our business. */
import type { KindId } from "#model/kinds.ts";

export const meshKinds: readonly KindId[] = [
  "Namespace",
  "Pod",
  "Service",
  "EndpointSlice",
  "VirtualService",
  "DestinationRule",
  "IstioGateway",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "GatewayClass",
  "Gateway",
  "HTTPRoute",
  "ReferenceGrant",
];
