/** EndpointSlice: addresses of the slice's type, and ports told apart by name. */
import { parseIp } from "#lib/ip.ts";
import type { EndpointSlice } from "./discovery.ts";
import { labelBreach, portNumberBreach, subdomainBreach } from "./names.ts";
import { duplicate, invalid, tooMany, type Problem } from "./problem.ts";

/** As Kubernetes: what a watcher of one slice has to take in at once. */
const MAX_ENDPOINTS = 1000;
const MAX_PORTS = 20_000;

export function endpointSliceRules(object: EndpointSlice, old: EndpointSlice | undefined): readonly Problem[] {
  const { addressType, endpoints, ports = [] } = object;
  const problems: Problem[] = [];
  if (old !== undefined && old.addressType !== addressType) problems.push(invalid("addressType", addressType, "field is immutable"));
  if (ports.length > MAX_PORTS) problems.push(tooMany("ports", ports.length, MAX_PORTS));
  const names = new Set<string>();
  for (const [index, { name = "", port }] of ports.entries()) {
    if (names.has(name)) problems.push(duplicate(`ports[${index}].name`, name));
    names.add(name);
    const wrong = name === "" ? undefined : labelBreach(name);
    if (wrong !== undefined) problems.push(invalid(`ports[${index}].name`, name, wrong));
    const outside = port === undefined ? undefined : portNumberBreach(port);
    if (outside !== undefined) problems.push(invalid(`ports[${index}].port`, port, outside));
  }
  if (endpoints.length > MAX_ENDPOINTS) problems.push(tooMany("endpoints", endpoints.length, MAX_ENDPOINTS));
  for (const [index, { addresses = [], hostname = "", nodeName = "" }] of endpoints.entries()) {
    const strange = nodeName === "" ? undefined : subdomainBreach(nodeName);
    if (strange !== undefined) problems.push(invalid(`endpoints[${index}].nodeName`, nodeName, strange));
    for (const [at, address] of addresses.entries()) {
      const breach = addressBreach(addressType, address);
      if (breach !== undefined) problems.push(invalid(`endpoints[${index}].addresses[${at}]`, address, breach));
    }
    const wrong = hostname === "" ? undefined : labelBreach(hostname);
    if (wrong !== undefined) problems.push(invalid(`endpoints[${index}].hostname`, hostname, wrong));
  }
  return problems;
}

function addressBreach(type: string, address: string): string | undefined {
  if (type === "FQDN") return subdomainBreach(address);
  const family = parseIp(address)?.family;
  if (type === "IPv4" && family !== 4) return "must be an IPv4 address";
  if (type === "IPv6" && family !== 6) return "must be an IPv6 address";
  if (/^127\.|^::1$/.test(address)) return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
  if (/^169\.254\.|^fe80:/i.test(address)) return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
  return undefined;
}
