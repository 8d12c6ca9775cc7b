/** Whether what a resource names is there: hosts, ports, subsets, pods. */
import { destinationRuleFor, subsetsOf, type Subset } from "#compile/mesh/destination-rule.ts";
import { podsOf, slicesByService } from "#compile/mesh/endpoints.ts";
import { resolveHost } from "#compile/mesh/hosts.ts";
import { findPort, findService, type MeshService } from "#compile/mesh/service.ts";
import type { Destination } from "#model/istio.ts";
import { matchesLabels } from "#model/selectors.ts";
import type { WorldReader } from "#model/world.ts";
import { noPods, reference, unsupported, type Finding } from "./finding.ts";

export function hostFindings(written: string, field: string, namespace: string, world: WorldReader): readonly Finding[] {
  const host = resolveHost(written, namespace);
  if (findService(world, host) !== undefined) return [];
  const name = written === host ? "" : ` (${host})`;
  const [first = "", second] = written.split(".");
  const meant = second !== undefined && world.get("Service", `${second}/${first}`) !== undefined ? `; write ${resolveHost(first, second)}` : "";
  return [reference(field, "HostNotFound", `${JSON.stringify(written)}${name} is not a service of the mesh${meant}`)];
}

/** HTTP routes steer only ports that are known to speak HTTP. */
export function notHttpFindings(host: string, port: number | undefined, field: string, world: WorldReader): readonly Finding[] {
  const service = findService(world, host);
  const ports = (service?.ports ?? []).filter(({ number }) => number === (port ?? number));
  if (ports.length === 0 || ports.some(({ protocol }) => protocol === "http")) return [];
  const named = ports.map(({ number, name }) => `${number}${name === "" ? "" : ` (${name})`}`).join(", ");
  const what = `of ${host} ${ports.length === 1 ? "is carried as TCP" : "are carried as TCP"}, so HTTP routes have no effect on sidecars`;
  return [unsupported(field, `port ${named} ${what}; name it "http" or "http-...", or set its appProtocol to "http"`)];
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
  if (subset !== "") findings.push(...subsetFindings(service, subset, `${field}.subset`, world));
  return findings;
}

function subsetFindings(service: MeshService, name: string, field: string, world: WorldReader): readonly Finding[] {
  const { host } = service;
  const subsets = subsetsOf(destinationRuleFor(host, world.all("DestinationRule")));
  const subset = subsets.find((each) => each.name === name);
  if (subset === undefined) {
    const names = subsets.map((each) => each.name);
    const known = names.length === 0 ? "no DestinationRule for it has subsets" : `${names.join(", ")} ${names.length === 1 ? "is" : "are"}`;
    return [reference(field, "SubsetNotFound", `${JSON.stringify(name)} is not a subset of any DestinationRule for ${host} (${known})`)];
  }
  return hasPods(service, subset, world)
    ? []
    : [noPods(field, `${JSON.stringify(name)} has no pod (${formatLabels(subset)}), so requests to it are answered with 503`)];
}

/** Ready or not: what is being replaced is not missing. */
export function hasPods(service: MeshService, { labels }: Subset, world: WorldReader): boolean {
  const slices = slicesByService(world.inNamespace("EndpointSlice", service.namespace)).get(`${service.namespace}/${service.name}`) ?? [];
  return podsOf(slices).some((key) => matchesLabels(labels, world.get("Pod", key)?.metadata.labels));
}

export function formatLabels({ labels }: Pick<Subset, "labels">): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}
