/** Kinds whose status the control plane writes. In a file of its own: agents read the list and need no findings. */
import type { KindId } from "#model/kinds.ts";

export const kindsWithStatus = [
  "VirtualService",
  "DestinationRule",
  "IstioGateway",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "GatewayClass",
  "Gateway",
  "HTTPRoute",
] as const satisfies readonly KindId[];
