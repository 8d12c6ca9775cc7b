/** Which pods a NetworkPolicy isolates, and in which directions. */
import type { Pod } from "#model/core.ts";
import type { NetworkPolicy } from "#model/networking.ts";
import { matchesLabelSelector } from "#model/selectors.ts";

export type Direction = "ingress" | "egress";

/** Kubernetes' default: Ingress always, Egress when there are egress rules. */
export function isolates(policy: NetworkPolicy, direction: Direction): boolean {
  const types = policy.spec?.policyTypes;
  if (types !== undefined && types.length > 0) return types.includes(direction === "ingress" ? "Ingress" : "Egress");
  return direction === "ingress" || (policy.spec?.egress ?? []).length > 0;
}

export function selects(policy: NetworkPolicy, pod: Pod): boolean {
  return policy.metadata.namespace === pod.metadata.namespace && matchesLabelSelector(policy.spec?.podSelector ?? {}, pod.metadata.labels);
}
