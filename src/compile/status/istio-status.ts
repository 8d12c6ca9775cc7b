/** Conditions of Istio's kinds: Accepted (is it in force?), ResolvedRefs (is there what it names?), FullySupported. */
import type { KubeObject } from "#model/object.ts";
import { fails, holds, type PlainCondition } from "./condition.ts";
import { formatFinding, type Finding } from "./finding.ts";

export interface IstioStatus {
  readonly conditions: readonly PlainCondition[];
  readonly observedGeneration?: string;
}

export function istioStatus(object: KubeObject, findings: readonly Finding[]): IstioStatus {
  const { generation } = object.metadata;
  return {
    conditions: [
      condition("Accepted", findings, ["conflict", "invalid"]),
      condition("ResolvedRefs", findings, ["reference", "workload"]),
      condition("FullySupported", findings, ["unsupported"]),
    ],
    ...(generation === undefined ? {} : { observedGeneration: String(generation) }),
  };
}

function condition(type: string, findings: readonly Finding[], about: readonly Finding["about"][]): PlainCondition {
  const relevant = findings.filter((finding) => about.includes(finding.about));
  const [first] = relevant;
  return first === undefined ? holds(type) : fails(type, first.reason, relevant.map(formatFinding).join("; "));
}
