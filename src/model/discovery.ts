/** discovery.k8s.io/v1: EndpointSlice. */
import { objectReference } from "./core.ts";
import type { KubeObject } from "./object.ts";
import { bool, having, int32, list, mapOf, oneOfTexts, setOf, struct, text, type Static } from "./schema.ts";

const discovery = (name: string) => ({ definition: `io.k8s.api.discovery.v1.${name}` });

export const endpoint = struct(
  { addresses: setOf(text, { minItems: 1, maxItems: 100 }) },
  {
    conditions: struct({}, { ready: bool, serving: bool, terminating: bool }, { ...discovery("EndpointConditions"), default: {} }),
    hostname: text,
    targetRef: objectReference,
    deprecatedTopology: mapOf(text),
    nodeName: text,
    zone: text,
    hints: struct(
      {},
      { forZones: list(struct({ name: text }, {}, discovery("ForZone"))), forNodes: list(struct({ name: text }, {}, discovery("ForNode"))) },
      discovery("EndpointHints"),
    ),
  },
  discovery("Endpoint"),
);
export type Endpoint = Static<typeof endpoint>;

export const endpointPort = struct(
  {},
  { name: having(text, { default: "" }), protocol: having(oneOfTexts("TCP", "UDP", "SCTP"), { default: "TCP" }), port: int32, appProtocol: text },
  { ...discovery("EndpointPort"), mapType: "atomic" },
);

export const endpointSliceFields = { addressType: oneOfTexts("IPv4", "IPv6", "FQDN") };
/** Manifests may leave endpoints out; stored and admitted objects have the list. */
export const endpointSliceOptional = { endpoints: having(list(endpoint), { default: [] }), ports: list(endpointPort) };
const endpointSliceBody = struct(endpointSliceFields, endpointSliceOptional);
export interface EndpointSlice extends KubeObject, Static<typeof endpointSliceBody> {
  readonly endpoints: readonly Endpoint[];
}
