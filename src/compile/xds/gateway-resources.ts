/** What only gateways have: a listener and routes for each port that the Gateways they serve ask for. */
import type { Derivation, Incremental, Read } from "#lib/incremental.ts";
import { gatewayApiServers, istioServers, type GatewayServer } from "#compile/mesh/gateway.ts";
import { gatewayHosts } from "#compile/mesh/gateway-hosts.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { blackHole, passthrough } from "./cluster.ts";
import type { MeshFacts, SharedResources } from "./derivations.ts";
import { encodeResource } from "./encode.ts";
import { gatewayListener } from "./gateway-listener.ts";
import { gatewayRoutes } from "./names.ts";
import { resourceSet, sameSet } from "./resource-set.ts";
import { routeConfiguration } from "./routes.ts";
import { onlyPort, withPort, type ProxyResources } from "./sidecar-resources.ts";

export function gatewayResources(engine: Incremental, facts: MeshFacts, shared: SharedResources): ProxyResources {
  const everywhere = [passthrough(), blackHole()];
  const servers = engine.derive("gateway servers", (read, key) => serversOf(read, key, facts));
  return {
    clusters: engine.derive("gateway clusters", (read) => resourceSet([...everywhere, ...read.derived(shared.clusters, "").values()]), { equals: sameSet }),
    listeners: engine.derive(
      "gateway listeners",
      (read, key) => {
        const policies = read.derived(facts.policies, key);
        return resourceSet(
          [...byListenPort(read.derived(servers, key))].flatMap(([port, [first]]) => (first === undefined ? [] : [gatewayListener(port, policies, first.by)])),
        );
      },
      { equals: sameSet },
    ),
    routes: deriveRoutes(engine, facts, servers),
  };
}

function serversOf(read: Read, key: string, facts: MeshFacts): readonly GatewayServer[] {
  const pod = read.derived(facts.workload, key);
  if (pod === undefined) return [];
  const world = facts.reader(read);
  const services = world.inNamespace("Service", pod.namespace);
  return [...istioServers(world.all("IstioGateway"), pod, services), ...gatewayApiServers(world.all("Gateway"), pod, services)];
}

function byListenPort(servers: readonly GatewayServer[]): ReadonlyMap<number, readonly GatewayServer[]> {
  return Map.groupBy(servers, ({ listenPort }) => listenPort);
}

function deriveRoutes(engine: Incremental, facts: MeshFacts, servers: Derivation<readonly GatewayServer[]>): ProxyResources["routes"] {
  return engine.derive(
    "gateway routes",
    (read, key) => {
      const world = facts.reader(read);
      const onlyPortOf = (host: string): number | undefined => onlyPort(read.derived(facts.service, host));
      const configurations = [...byListenPort(read.derived(servers, key))].map(([port, group]) => {
        const ports = [...new Set(group.map((server) => server.port))];
        const hosts = gatewayHosts(group, world, onlyPortOf).map(({ host, routes, by }) => ({
          name: `${host}:${port}`,
          domains: host === "*" ? ["*"] : [host, ...new Set([...ports, port].flatMap((each) => withPort([host], each).slice(1)))],
          routes,
          by,
        }));
        const name = gatewayRoutes(port);
        return encodeResource(RouteConfigurationSchema, name, routeConfiguration(name, hosts));
      });
      return resourceSet(configurations);
    },
    { equals: sameSet },
  );
}
