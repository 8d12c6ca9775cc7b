/** Whether what a resource names is there: hosts, ports, subsets. */
import { destinationRuleFor, subsetsOf } from "#compile/mesh/destination-rule.ts";
import { resolveHost } from "#compile/mesh/hosts.ts";
import { findPort, findService } from "#compile/mesh/service.ts";
import type { Destination } from "#model/istio.ts";
import type { WorldReader } from "#model/world.ts";
import { reference, type Finding } from "./finding.ts";

export function hostFindings(written: string, field: string, namespace: string, world: WorldReader): readonly Finding[] {
  const host = resolveHost(written, namespace);
  if (findService(world, host) !== undefined) return [];
  const name = written === host ? "" : ` (${host})`;
  const [first = "", second] = written.split(".");
  const meant = second !== undefined && world.get("Service", `${second}/${first}`) !== undefined ? `; write ${resolveHost(first, second)}` : "";
  return [reference(field, "HostNotFound", `${JSON.stringify(written)}${name} is not a service of the mesh${meant}`)];
}

export function destinationFindings(
  { host: written, port, subset = "" }: Destination,
  field: string,
  namespace: string,
  world: WorldReader,
): readonly Finding[] {
  const missing = hostFindings(written, `${field}.host`, namespace, world);
  const host = resolveHost(written, namespace);
  const service = findService(world, host);
  if (service === undefined) return missing;
  const findings: Finding[] = [];
  if (port?.number !== undefined && findPort(service, port.number) === undefined) {
    const has = service.ports.map(({ number }) => number).join(", ");
    findings.push(
      reference(`${field}.port.number`, "PortNotFound", `${port.number} is not a port of ${host} (${has} ${service.ports.length === 1 ? "is" : "are"})`),
    );
  }
  const subsets = subsetsOf(destinationRuleFor(host, world.all("DestinationRule"))).map(({ name }) => name);
  if (subset !== "" && !subsets.includes(subset)) {
    const known = subsets.length === 0 ? "no DestinationRule for it has subsets" : `${subsets.join(", ")} ${subsets.length === 1 ? "is" : "are"}`;
    findings.push(reference(`${field}.subset`, "SubsetNotFound", `${JSON.stringify(subset)} is not a subset of any DestinationRule for ${host} (${known})`));
  }
  return findings;
}
