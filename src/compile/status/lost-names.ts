/** What a Gateway of either kind is told when an older one has its names already. */
import type { GatewayServer } from "#compile/mesh/gateway.ts";
import { lostNames } from "#compile/mesh/gateway-names.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { conflict, type Finding } from "./finding.ts";

export function lostNameFindings(kind: GatewayServer["kind"], gateway: KubeObject, world: WorldReader): readonly Finding[] {
  return lostNames(kind, objectKey(gateway), world).map(({ name, to, server }) =>
    conflict(server.by.field, `${name} with TLS on port ${server.port} is served by ${formatProvenance(to.by)}; this has no effect on it`),
  );
}
