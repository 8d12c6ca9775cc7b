/** What a Service asks for and the node does not do. */
import { parseIp } from "#lib/ip.ts";
import type { Service } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { PlanProblem } from "#model/plan/node-plan.ts";

export function serviceProblems({ metadata, spec }: Service, slices: readonly EndpointSlice[]): PlanProblem[] {
  const problems: PlanProblem[] = [];
  const refuse = (field: string, message: string) =>
    problems.push({ by: { kind: "Service", namespace: metadata.namespace ?? "", name: metadata.name, field }, message });
  for (const [i, port] of (spec.ports ?? []).entries()) {
    if (port.protocol === "SCTP") refuse(`spec.ports[${i}].protocol`, `port ${port.port} is not served: SCTP is not supported; TCP and UDP are`);
  }
  for (const field of ["clusterIPs", "externalIPs"] as const) {
    for (const [i, ip] of (spec[field] ?? []).entries()) {
      if (parseIp(ip)?.family === 6) refuse(`spec.${field}[${i}]`, `address ${ip} is not served: services have IPv4 addresses only so far`);
    }
  }
  for (const { addressType, endpoints, metadata: slice } of slices) {
    if (addressType === "IPv4" || endpoints.length === 0) continue;
    problems.push({
      by: { kind: "EndpointSlice", namespace: slice.namespace ?? "", name: slice.name, field: "addressType" },
      message: `its ${endpoints.length} endpoints are not used: addresses of type ${String(addressType)} are not supported; IPv4 is`,
    });
  }
  return problems;
}
