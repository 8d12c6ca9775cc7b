/** What a Gateway of either kind is told of servers that nobody reaches: an older one has the name, or no Service leads to the port. */
import type { GatewayServer } from "#compile/mesh/gateway.ts";
import { hiddenServers, lostNames } from "#compile/mesh/gateway-names.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { conflict, reference, type Finding } from "./finding.ts";

export function unreachedFindings(kind: GatewayServer["kind"], gateway: KubeObject, world: WorldReader): readonly Finding[] {
  const key = objectKey(gateway);
  return [
    ...lostNames(kind, key, world).map(({ name, to, server }) =>
      conflict(server.by.field, `${name} with TLS on port ${server.port} is served by ${formatProvenance(to.by)}; this has no effect on it`),
    ),
    ...hiddenServers(kind, key, world).map(({ by, port }) =>
      reference(`${by.field}.port`, "PortNotExposed", `no Service of the gateway's pods has port ${port}, so nobody outside reaches it; add it to the Service`),
    ),
  ];
}
