/** Which server that ends TLS has which name on a port: of two for one name the first has it, and the other is told so. */
import type { WorldReader } from "#model/world.ts";
import { gatewayApiServers, istioServers, type GatewayServer } from "./gateway.ts";
import { certificateIn, isProblem } from "./gateway-certificate.ts";
import { workload } from "./workload.ts";

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

/** Names that a Gateway's servers lose to others, as any of the pods that serve it would see it. */
export function lostNames(
  kind: GatewayServer["kind"],
  gateway: string,
  world: WorldReader,
): readonly (NamedServer["lost"][number] & { readonly server: GatewayServer })[] {
  const pods = world.all("Pod").map(workload);
  for (const pod of pods.filter(({ proxy }) => proxy === "gateway")) {
    const services = world.inNamespace("Service", pod.namespace);
    const servers = [...istioServers(world.all("IstioGateway"), pod, services), ...gatewayApiServers(pod, services, world)].filter(
      ({ secret }) => secret === undefined || !isProblem(certificateIn(secret, world.get("Secret", secret))),
    );
    if (!servers.some((server) => server.kind === kind && server.gateway === gateway)) continue;
    const named = [...Map.groupBy(servers, ({ listenPort }) => listenPort).values()].flatMap(tlsNames);
    return named.flatMap(({ server, lost }) => (server.kind === kind && server.gateway === gateway ? lost.map((each) => ({ ...each, server })) : []));
  }
  return [];
}
