/** Service: ports, addresses and what each type may have. */
import { parseCidr, parseIp } from "#lib/ip.ts";
import type { Service, ServicePort } from "./core.ts";
import { labelBreach, portNameBreach, subdomainBreach } from "./names.ts";
import { duplicate, forbidden, invalid, required, unsupported, type Problem } from "./problem.ts";

export function serviceRules(object: Service, old: Service | undefined): readonly Problem[] {
  const { spec } = object;
  const isHeadless = spec.clusterIP === "None";
  const problems: Problem[] = [];
  if (spec.type === "ExternalName") problems.push(...externalNameProblems(object));
  else if ((spec.ports ?? []).length === 0 && !isHeadless) problems.push(required("spec.ports"));
  if (isHeadless && (spec.type === "NodePort" || spec.type === "LoadBalancer")) {
    problems.push(invalid("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${spec.type} services`));
  }
  if (spec.clusterIP !== undefined && spec.clusterIP !== "" && !isHeadless && parseIp(spec.clusterIP) === undefined) {
    problems.push(invalid("spec.clusterIPs[0]", spec.clusterIP, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
  }
  problems.push(...portProblems(spec.ports ?? [], spec.type));
  for (const [key, value] of Object.entries(spec.selector ?? {}))
    if (value.length > 63) problems.push(invalid("spec.selector", `${key}: ${value}`, "must be no more than 63 characters"));
  for (const [index, ip] of (spec.externalIPs ?? []).entries())
    if (parseIp(ip) === undefined) problems.push(invalid(`spec.externalIPs[${index}]`, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
  for (const [index, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    if (parseCidr(range) === undefined)
      problems.push(invalid(`spec.loadBalancerSourceRanges[${index}]`, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
  }
  problems.push(...balancerProblems(object));
  if (spec.sessionAffinity !== "ClientIP" && spec.sessionAffinityConfig !== undefined) {
    problems.push(forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None"));
  }
  const before = old?.spec;
  const stays = before !== undefined && before.type !== "ExternalName" && spec.type !== "ExternalName";
  if (stays && (before.clusterIP ?? "") !== "" && before.clusterIP !== spec.clusterIP) {
    problems.push(invalid("spec.clusterIPs[0]", spec.clusterIPs ?? [spec.clusterIP ?? ""], "may not change once set"));
  }
  return problems;
}

const trafficDistributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];

/** What only Services of type LoadBalancer may have. */
function balancerProblems({ spec }: Service): Problem[] {
  const problems: Problem[] = [];
  const isBalancer = spec.type === "LoadBalancer";
  const only = "may only be used when `type` is 'LoadBalancer'";
  if (!isBalancer && (spec.loadBalancerSourceRanges ?? []).length > 0) problems.push(forbidden("spec.LoadBalancerSourceRanges", only));
  if (!isBalancer && spec.loadBalancerClass !== undefined) problems.push(forbidden("spec.loadBalancerClass", only));
  if (!isBalancer && spec.allocateLoadBalancerNodePorts !== undefined) problems.push(forbidden("spec.allocateLoadBalancerNodePorts", only));
  if ((spec.healthCheckNodePort ?? 0) !== 0 && !(isBalancer && spec.externalTrafficPolicy === "Local")) {
    const why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    problems.push(invalid("spec.healthCheckNodePort", spec.healthCheckNodePort, why));
  }
  if (spec.trafficDistribution !== undefined && !trafficDistributions.includes(spec.trafficDistribution)) {
    problems.push(unsupported("spec.trafficDistribution", spec.trafficDistribution, trafficDistributions));
  }
  return problems;
}

function externalNameProblems({ spec }: Service): Problem[] {
  const { externalName = "" } = spec;
  if (externalName === "") return [required("spec.externalName")];
  if ((spec.clusterIP ?? "") !== "") return [forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")];
  const breach = subdomainBreach(externalName.replace(/\.$/, ""));
  return breach === undefined ? [] : [invalid("spec.externalName", externalName, breach)];
}

function portProblems(ports: readonly ServicePort[], type: string | undefined): Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  const nodePorts = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const where = `spec.ports[${index}]`;
    const { name = "", nodePort = 0, targetPort } = port;
    if (name === "") {
      if (ports.length > 1) problems.push(required(`${where}.name`));
    } else {
      const breach = labelBreach(name);
      if (breach !== undefined) problems.push(invalid(`${where}.name`, name, breach));
      if (names.has(name)) problems.push(duplicate(`${where}.name`, name));
      names.add(name);
    }
    if (typeof targetPort === "number" && (targetPort < 1 || targetPort > 65535))
      problems.push(invalid(`${where}.targetPort`, targetPort, "must be between 1 and 65535, inclusive"));
    const wrong = typeof targetPort === "string" ? portNameBreach(targetPort) : undefined;
    if (wrong !== undefined) problems.push(invalid(`${where}.targetPort`, targetPort, wrong));
    if (nodePort === 0) continue;
    if (type !== "NodePort" && type !== "LoadBalancer") problems.push(forbidden(`${where}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
    const key = `${nodePort}/${port.protocol}`;
    if (nodePorts.has(key)) problems.push(duplicate(`${where}.nodePort`, nodePort));
    nodePorts.add(key);
  }
  return problems;
}
