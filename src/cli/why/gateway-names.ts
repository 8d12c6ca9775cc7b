/** Where a host's name most likely leads a machine outside: to the address of the Gateway that serves it there. */
import { bySpecificity, covers } from "#compile/mesh/hosts.ts";
import { isOurs } from "#compile/mesh/gateway-address.ts";
import { isGatewayParent, parentNamespace } from "#compile/mesh/http-route.ts";
import type { Gateway } from "#model/gateway-api.ts";
import { objectKey } from "#model/object.ts";
import type { Provenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";

export interface GatewayAddress {
  readonly address: string;
  /** Its status.addresses. */
  readonly by: Provenance;
}

/** Of several Gateways that serve the host on that port, the one that names it best. */
export function gatewayServing(host: string, port: number, world: WorldReader): GatewayAddress | undefined {
  const claims = world
    .all("Gateway")
    .filter(isOurs)
    .flatMap((gateway) => hostsOf(gateway, port, world).map((pattern) => ({ gateway, pattern })))
    .filter(({ pattern }) => pattern !== "*" && covers(pattern, host))
    .toSorted((a, b) => bySpecificity(a.pattern, b.pattern));
  for (const { gateway } of claims) {
    const index = (gateway.status?.addresses ?? []).findIndex(({ type }) => (type ?? "IPAddress") === "IPAddress");
    const address = gateway.status?.addresses?.[index]?.value;
    const { namespace = "", name } = gateway.metadata;
    if (address !== undefined) return { address, by: { kind: "Gateway", namespace, name, field: `status.addresses[${index}]` } };
  }
  return undefined;
}

/** Hosts of its listeners; a listener without one serves those of its routes. */
function hostsOf(gateway: Gateway, port: number, world: WorldReader): readonly string[] {
  const listeners = gateway.spec.listeners.filter((listener) => listener.port === port);
  const named = listeners.flatMap(({ hostname = "" }) => (hostname === "" ? [] : [hostname]));
  if (named.length === listeners.length) return named;
  const key = objectKey(gateway);
  const routes = world
    .all("HTTPRoute")
    .filter((route) => (route.spec.parentRefs ?? []).some((parent) => isGatewayParent(parent) && `${parentNamespace(route, parent)}/${parent.name}` === key));
  return [...named, ...routes.flatMap(({ spec }) => spec.hostnames ?? [])];
}
