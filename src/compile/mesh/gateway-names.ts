/** Which server that ends TLS has which name on a port: of two for one name the first has it, and the other is told so. */
import type { WorldReader } from "#model/world.ts";
import { gatewayApiServers, istioServers, type GatewayServer } from "./gateway.ts";
import { certificateIn, isProblem } from "./gateway-certificate.ts";
import { inboundPorts, workload } from "./workload.ts";

export interface NamedServer {
  readonly server: GatewayServer;
  readonly names: readonly string[];
  readonly lost: readonly { readonly name: string; readonly to: GatewayServer }[];
}

/** Of one port's servers, in order of precedence; those without TLS are left out. */
export function tlsNames(servers: readonly GatewayServer[]): readonly NamedServer[] {
  const taken = new Map<string, GatewayServer>();
  return servers.flatMap((server): readonly NamedServer[] => {
    if (server.secret === undefined) return [];
    const names: string[] = [];
    const lost: { name: string; to: GatewayServer }[] = [];
    for (const { host } of server.hosts) {
      const to = taken.get(host);
      if (to === undefined) {
        taken.set(host, server);
        names.push(host);
      } else if (to !== server) lost.push({ name: host, to });
    }
    return [{ server, names, lost }];
  });
}

/** What a Gateway's servers are, as the first of the pods that serve it would see them, in order of precedence with all others. */
function seenBy(kind: GatewayServer["kind"], gateway: string, world: WorldReader): SeenServers | undefined {
  for (const pod of world.all("Pod").map(workload)) {
    if (pod.proxy !== "gateway") continue;
    const services = world.inNamespace("Service", pod.namespace);
    const servers = [...istioServers(world.all("IstioGateway"), pod, services), ...gatewayApiServers(pod, services, world)].filter(
      ({ secret }) => secret === undefined || !isProblem(certificateIn(secret, world.get("Secret", secret))),
    );
    const isOwn = (server: GatewayServer): boolean => server.kind === kind && server.gateway === gateway;
    if (servers.some(isOwn)) return { servers, isOwn, exposed: inboundPorts(pod, services).map(({ port }) => port) };
  }
  return undefined;
}

interface SeenServers {
  readonly servers: readonly GatewayServer[];
  readonly isOwn: (server: GatewayServer) => boolean;
  /** Where Services lead to. */
  readonly exposed: readonly number[];
}

/** Names that a Gateway's servers lose to others. */
export function lostNames(
  kind: GatewayServer["kind"],
  gateway: string,
  world: WorldReader,
): readonly (NamedServer["lost"][number] & { readonly server: GatewayServer })[] {
  const seen = seenBy(kind, gateway, world);
  if (seen === undefined) return [];
  const named = [...Map.groupBy(seen.servers, ({ listenPort }) => listenPort).values()].flatMap(tlsNames);
  return named.flatMap(({ server, lost }) => (seen.isOwn(server) ? lost.map((each) => ({ ...each, server })) : []));
}

/** Servers on ports to which no Service leads. */
export function hiddenServers(kind: GatewayServer["kind"], gateway: string, world: WorldReader): readonly GatewayServer[] {
  const seen = seenBy(kind, gateway, world);
  return seen?.servers.filter((server) => seen.isOwn(server) && !seen.exposed.includes(server.listenPort)) ?? [];
}
