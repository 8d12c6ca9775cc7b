/** A Kubernetes Service as the mesh sees it: a host with addresses and ports. */
import type { Service } from "#model/core.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { parseServiceHost, serviceHost } from "./hosts.ts";
import { portProtocol, type Protocol } from "./protocol.ts";
import { provenanceOf } from "./source.ts";

export interface MeshPort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** Number, or name of a container port. */
  readonly targetPort: number | string;
  readonly by: Provenance;
}

export interface MeshService {
  readonly host: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty: headless. */
  readonly addresses: readonly string[];
  readonly selector: Readonly<Record<string, string>>;
  /** TCP only; the mesh leaves UDP alone. */
  readonly ports: readonly MeshPort[];
  readonly by: Provenance;
}

/** undefined: not in the mesh (an ExternalName is a name for DNS alone). */
export function meshService(service: Service | undefined): MeshService | undefined {
  if (service === undefined || service.spec.type === "ExternalName") return undefined;
  const { namespace = "", name } = service.metadata;
  const { clusterIP, clusterIPs, ports = [], selector = {} } = service.spec;
  const addresses = (clusterIPs ?? [clusterIP ?? ""]).filter((ip) => ip !== "" && ip !== "None");
  return {
    host: serviceHost(namespace, name),
    namespace,
    name,
    addresses,
    selector,
    ports: ports.flatMap((port, i) => {
      if ((port.protocol ?? "TCP") !== "TCP") return [];
      const { protocol } = portProtocol(port);
      return [{ name: port.name ?? "", number: port.port, protocol, targetPort: port.targetPort ?? port.port, by: provenanceOf(service, `spec.ports[${i}]`) }];
    }),
    by: provenanceOf(service),
  };
}

export function findService(world: WorldReader, host: string): MeshService | undefined {
  const service = parseServiceHost(host);
  return service === undefined ? undefined : meshService(world.get("Service", `${service.namespace}/${service.name}`));
}

export function findPort(service: MeshService, port: number): MeshPort | undefined {
  return service.ports.find(({ number }) => number === port);
}
