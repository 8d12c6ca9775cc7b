/** Ports of the node that pods of this node ask for (`hostPort`): each leads to its pod alone. */
import type { NodeReader } from "#compile/node/pods.ts";
import type { LocalPod } from "#compile/node/settings.ts";
import { parseIp } from "#lib/ip.ts";
import type { Provenance } from "#model/provenance.ts";
import { elementsOf, ServiceElementsBuilder, type ServiceRules } from "./service-rules.ts";

export interface HostPorts {
  readonly rules: ServiceRules | undefined;
  /** The node calls the pod at its own loopback address. */
  readonly loopback: boolean;
}

const LOOPBACK = "127.0.0.1";

export function compileHostPorts(reader: NodeReader, local: LocalPod): HostPorts {
  const pod = reader.get("Pod", `${local.namespace}/${local.name}`);
  const found = new ServiceElementsBuilder();
  const problems: ServiceRules["problems"][number][] = [];
  if (pod !== undefined && pod.spec.hostNetwork !== true) {
    for (const list of ["initContainers", "containers"] as const) {
      for (const [i, container] of (pod.spec[list] ?? []).entries()) {
        for (const [j, { hostPort = 0, hostIP, protocol, containerPort }] of (container.ports ?? []).entries()) {
          if (hostPort === 0) continue;
          const field = `spec.${list}[${i}].ports[${j}]`;
          const by: Provenance = { kind: "Pod", namespace: local.namespace, name: local.name, field: `${field}.hostPort` };
          if (protocol === "SCTP" || (hostIP !== undefined && hostIP !== "" && parseIp(hostIP)?.family !== 4)) {
            const what = protocol === "SCTP" ? "SCTP is not supported; TCP and UDP are" : `hostIP ${hostIP ?? ""} is no IPv4 address`;
            problems.push({ by, message: `port ${hostPort} of the node is not opened: ${what}` });
            continue;
          }
          const endpoint = { ip: local.ip, port: containerPort, by };
          const addresses = hostIP === undefined || hostIP === "" || hostIP === "0.0.0.0" ? [...reader.self().addresses, LOOPBACK] : [hostIP];
          for (const ip of addresses) {
            const frontend = { ip, port: hostPort, policy: "cluster", by } as const;
            found.add(frontend, protocol === "UDP" ? "udp" : "tcp", { cluster: [endpoint], local: [endpoint], draining: [] }, 0);
          }
        }
      }
    }
  }
  if (found.services.length === 0 && problems.length === 0) return { rules: undefined, loopback: false };
  return {
    rules: { ...elementsOf(found), outsideAddresses: [], loadBalancerAddresses: [], healthChecks: [], problems },
    loopback: found.balanced.some(({ address }) => address.startsWith("127.")),
  };
}
