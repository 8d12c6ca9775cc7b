/** What only gateways have: listeners, routes and certificates that the Gateways they serve ask for. */
import { create } from "@bufbuild/protobuf";
import type { Derivation, Incremental, Read } from "#lib/incremental.ts";
import { policiesFor } from "#compile/mesh/authorization.ts";
import { gatewayApiServers, istioServers, type GatewayServer } from "#compile/mesh/gateway.ts";
import { certificateIn, isProblem } from "#compile/mesh/gateway-certificate.ts";
import { gatewayHosts } from "#compile/mesh/gateway-hosts.ts";
import type { AuthorizationPolicy } from "#model/istio.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { blackHole, passthrough } from "./cluster.ts";
import type { MeshFacts, SharedResources } from "./derivations.ts";
import { encodeResource, sameResource } from "./encode.ts";
import { gatewayListener } from "./gateway-listener.ts";
import { gatewayRoutes, gatewayTlsRoutes, secretName } from "./names.ts";
import { derivedSet, resourceSet, sameSet } from "./resource-set.ts";
import { gatewayRouteConfiguration } from "./routes.ts";
import { onlyPort, type ProxyResources } from "./sidecar-resources.ts";

type Servers = Derivation<readonly GatewayServer[]>;

export function gatewayResources(engine: Incremental, facts: MeshFacts, shared: SharedResources): ProxyResources {
  const everywhere = [passthrough(), blackHole()];
  const certificate = engine.derive("gateway certificate", (read, key): EncodedResource | undefined => certificateSecret(read, key, facts), {
    equals: sameResource,
  });
  // A server whose certificate is missing is left out: a listener that waits for one would hold up its neighbours.
  const servers = engine.derive("gateway servers", (read, key) =>
    serversOf(read, key, facts).filter(({ secret }) => secret === undefined || read.derived(certificate, secret) !== undefined),
  );
  const policies = engine.derive("policies for gateway", (read, gateway) =>
    policiesFor(gateway, facts.reader(read).inNamespace("AuthorizationPolicy", gateway.split("/")[0] ?? "")),
  );
  return {
    clusters: engine.derive("gateway clusters", (read) => resourceSet([...everywhere, ...read.derived(shared.clusters, "").values()]), { equals: sameSet }),
    listeners: engine.derive(
      "gateway listeners",
      (read, key) => {
        const ofPod = read.derived(facts.policies, key);
        const policiesOf = ({ kind, gateway }: GatewayServer): readonly AuthorizationPolicy[] =>
          kind === "Gateway" ? [...ofPod, ...read.derived(policies, gateway)] : ofPod;
        return resourceSet([...byListenPort(read.derived(servers, key))].map(([port, group]) => gatewayListener(port, group, policiesOf)));
      },
      { equals: sameSet },
    ),
    routes: deriveRoutes(engine, facts, servers),
    secrets: engine.derive("gateway secrets", (read, key) => derivedSet(read, certificate, secretsOf(read.derived(servers, key))), { equals: sameSet }),
  };
}

function serversOf(read: Read, key: string, facts: MeshFacts): readonly GatewayServer[] {
  const pod = read.derived(facts.workload, key);
  if (pod === undefined) return [];
  const world = facts.reader(read);
  const services = world.inNamespace("Service", pod.namespace);
  return [...istioServers(world.all("IstioGateway"), pod, services), ...gatewayApiServers(pod, services, world)];
}

function secretsOf(servers: readonly GatewayServer[]): readonly string[] {
  return [...new Set(servers.flatMap(({ secret }) => secret ?? []))];
}

function certificateSecret(read: Read, key: string, facts: MeshFacts): EncodedResource | undefined {
  const found = certificateIn(key, facts.reader(read).get("Secret", key));
  if (isProblem(found)) return undefined;
  const inline = (text: string) => ({ specifier: { case: "inlineString" as const, value: text } });
  const name = secretName(key);
  const value = { certificateChain: inline(found.chain), privateKey: inline(found.privateKey) };
  const [namespace = "", secret = ""] = key.split("/");
  return encodeResource(SecretSchema, name, create(SecretSchema, { name, type: { case: "tlsCertificate", value } }), {
    kind: "Secret",
    namespace,
    name: secret,
    field: "data",
  });
}

function byListenPort(servers: readonly GatewayServer[]): ReadonlyMap<number, readonly GatewayServer[]> {
  return Map.groupBy(servers, ({ listenPort }) => listenPort);
}

/** Route configurations by name: one for all plain servers of a port, one for each that ends TLS. */
function byRoutes(servers: readonly GatewayServer[]): ReadonlyMap<string, readonly GatewayServer[]> {
  return Map.groupBy(servers, ({ secret, listenPort, section, gateway }) =>
    secret === undefined ? gatewayRoutes(listenPort) : gatewayTlsRoutes(listenPort, section, gateway),
  );
}

function deriveRoutes(engine: Incremental, facts: MeshFacts, servers: Servers): ProxyResources["routes"] {
  return engine.derive(
    "gateway routes",
    (read, key) => {
      const world = facts.reader(read);
      const onlyPortOf = (host: string): number | undefined => onlyPort(read.derived(facts.service, host));
      const configurations = [...byRoutes(read.derived(servers, key))].map(([name, group]) => {
        const port = group[0]?.listenPort ?? 0;
        const hosts = gatewayHosts(group, world, onlyPortOf).map(({ host, ...rest }) => ({ name: `${host}:${port}`, domains: [host], ...rest }));
        return encodeResource(RouteConfigurationSchema, name, gatewayRouteConfiguration(name, hosts));
      });
      return resourceSet(configurations);
    },
    { equals: sameSet },
  );
}
