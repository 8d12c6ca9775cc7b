/** networking.k8s.io/v1: NetworkPolicy. */
import { labelSelector } from "./meta.ts";
import type { KubeObject } from "./object.ts";
import { having, int32, intOrString, list, oneOfTexts, struct, text, type Static } from "./schema.ts";

const networking = (name: string) => ({ definition: `io.k8s.api.networking.v1.${name}` });

const policyPort = struct(
  {},
  { protocol: having(oneOfTexts("TCP", "UDP", "SCTP"), { default: "TCP" }), port: intOrString, endPort: int32 },
  networking("NetworkPolicyPort"),
);
const policyPeer = struct(
  {},
  { podSelector: labelSelector, namespaceSelector: labelSelector, ipBlock: struct({ cidr: text }, { except: list(text) }, networking("IPBlock")) },
  networking("NetworkPolicyPeer"),
);
export type NetworkPolicyPort = Static<typeof policyPort>;
export type NetworkPolicyPeer = Static<typeof policyPeer>;

export const networkPolicySpec = struct(
  {},
  {
    podSelector: having(labelSelector, { default: {} }),
    ingress: list(struct({}, { ports: list(policyPort), from: list(policyPeer) }, networking("NetworkPolicyIngressRule"))),
    egress: list(struct({}, { ports: list(policyPort), to: list(policyPeer) }, networking("NetworkPolicyEgressRule"))),
    policyTypes: list(oneOfTexts("Ingress", "Egress")),
  },
  networking("NetworkPolicySpec"),
);
export interface NetworkPolicy extends KubeObject {
  readonly spec?: Static<typeof networkPolicySpec>;
}
