/** NetworkPolicy: peers, ports and address blocks. */
import { containsCidr, parseCidr } from "#lib/ip.ts";
import { selectorProblems } from "./apps-rules.ts";
import { portBreach } from "./names.ts";
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "./networking.ts";
import { forbidden, invalid, required, type Problem } from "./problem.ts";

export function networkPolicyRules(object: NetworkPolicy): readonly Problem[] {
  const { podSelector, ingress = [], egress = [], policyTypes = [] } = object.spec ?? {};
  const problems = selectorProblems(podSelector ?? {}, "spec.podSelector");
  if (policyTypes.length > 2) problems.push(invalid("spec.policyTypes", policyTypes, "may not specify more than two policyTypes"));
  for (const [index, rule] of ingress.entries()) problems.push(...ruleProblems(`spec.ingress[${index}]`, rule.ports, rule.from, "from"));
  for (const [index, rule] of egress.entries()) problems.push(...ruleProblems(`spec.egress[${index}]`, rule.ports, rule.to, "to"));
  return problems;
}

function ruleProblems(path: string, ports: readonly NetworkPolicyPort[] = [], peers: readonly NetworkPolicyPeer[] = [], field: "from" | "to"): Problem[] {
  const problems: Problem[] = [];
  for (const [index, { port, endPort }] of ports.entries()) {
    const where = `${path}.ports[${index}]`;
    const wrong = port === undefined ? undefined : portBreach(port);
    if (wrong !== undefined) problems.push(invalid(`${where}.port`, port, wrong));
    if (endPort === undefined) continue;
    if (port === undefined) problems.push(invalid(`${where}.endPort`, endPort, "may not be specified when `port` is not specified"));
    else if (typeof port === "string") problems.push(invalid(`${where}.endPort`, endPort, "may not be specified when `port` is non-numeric"));
    else if (endPort < port) problems.push(invalid(`${where}.endPort`, endPort, "must be greater than or equal to `port`"));
  }
  for (const [index, peer] of peers.entries()) problems.push(...peerProblems(peer, `${path}.${field}[${index}]`));
  return problems;
}

function peerProblems(peer: NetworkPolicyPeer, path: string): Problem[] {
  const { ipBlock, podSelector, namespaceSelector } = peer;
  if (ipBlock === undefined) {
    if (podSelector === undefined && namespaceSelector === undefined) return [required(path, "must specify a peer")];
    return [...selectorProblems(podSelector ?? {}, `${path}.podSelector`), ...selectorProblems(namespaceSelector ?? {}, `${path}.namespaceSelector`)];
  }
  const problems: Problem[] = [];
  if (podSelector !== undefined || namespaceSelector !== undefined) problems.push(forbidden(path, "may not specify both ipBlock and another peer"));
  const block = parseCidr(ipBlock.cidr);
  if (block === undefined)
    return [...problems, invalid(`${path}.ipBlock.cidr`, ipBlock.cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")];
  for (const [index, except] of (ipBlock.except ?? []).entries()) {
    const hole = parseCidr(except);
    const where = `${path}.ipBlock.except[${index}]`;
    if (hole === undefined) problems.push(invalid(where, except, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    else if (!containsCidr(block, hole) || hole.prefix <= block.prefix) problems.push(invalid(where, except, "must be a strict subset of `cidr`"));
  }
  return problems;
}
