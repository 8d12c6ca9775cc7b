/** What only sidecars have: outbound listeners and routes, and the listener and clusters of their own pod's ports. */
import type { Derivation, Incremental, Read } from "#lib/incremental.ts";
import { namesOfService } from "#compile/mesh/hosts.ts";
import { serviceRoutes } from "#compile/mesh/mesh-hosts.ts";
import { provenanceOf } from "#compile/mesh/source.ts";
import type { MeshPort, MeshService } from "#compile/mesh/service.ts";
import { meshGateway, routesOf, type RouteContext } from "#compile/mesh/virtual-service.ts";
import type { Workload } from "#compile/mesh/workload.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Provenance } from "#model/provenance.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { blackHole, inbound, inboundPassthrough, passthrough } from "./cluster.ts";
import type { MeshFacts, SharedResources } from "./derivations.ts";
import { encodeResource, sameResource } from "./encode.ts";
import { virtualInbound } from "./inbound-listener.ts";
import { httpListener, outboundCluster } from "./names.ts";
import { outboundHttp, outboundTcp, virtualOutbound, type TcpListenerFacts } from "./outbound-listener.ts";
import { derivedSet, resourceSet, sameSet, type ResourceSet } from "./resource-set.ts";
import { allowAny, routeConfiguration, type HostRoutes } from "./routes.ts";

/** All keyed by Pod. A set stays the same object as long as nothing in it changes. */
export interface ProxyResources {
  readonly clusters: Derivation<ResourceSet>;
  readonly listeners: Derivation<ResourceSet>;
  readonly routes: Derivation<ResourceSet>;
  /** Certificates that it shows to clients outside the mesh. */
  readonly secrets: Derivation<ResourceSet>;
}

/** Pods of one service share them. */
interface InboundClusterKey {
  readonly port: number;
  readonly by: Provenance;
}

export function sidecarResources(engine: Incremental, facts: MeshFacts, shared: SharedResources): ProxyResources {
  const httpPorts = engine.derive("http ports", (read) => [...new Set(servicePorts(read, facts, "http").map(({ port }) => port.number))].sort((a, b) => a - b));
  const everywhere = [passthrough(), blackHole(), inboundPassthrough()];
  const inboundCluster = engine.derive(
    "inbound cluster",
    (_, key) => {
      const { port, by } = JSON.parse(key) as InboundClusterKey;
      return inbound(port, by);
    },
    { equals: sameResource },
  );
  const clusters = engine.derive(
    "sidecar clusters",
    (read, key) => {
      const ports = read.derived(facts.inboundPorts, key).map(({ port, servicePort: { by } }) => {
        const cluster: InboundClusterKey = { port, by };
        return read.derived(inboundCluster, JSON.stringify(cluster));
      });
      return resourceSet([...everywhere, ...ports, ...read.derived(shared.clusters, "").values()]);
    },
    { equals: sameSet },
  );
  const secrets = engine.derive("sidecar secrets", () => resourceSet([]));
  return { clusters, listeners: deriveListeners(engine, facts, shared, httpPorts), routes: deriveRoutes(engine, facts, httpPorts), secrets };
}

interface PortOfService {
  readonly service: MeshService;
  readonly port: MeshPort;
}

function servicePorts(read: Read, facts: MeshFacts, protocol: MeshPort["protocol"]): readonly PortOfService[] {
  return read.derived(facts.hosts, "").flatMap((host) => {
    const service = read.derived(facts.service, host);
    return service === undefined ? [] : service.ports.filter((port) => port.protocol === protocol).map((port) => ({ service, port }));
  });
}

function deriveListeners(engine: Incremental, facts: MeshFacts, shared: SharedResources, httpPorts: Derivation<readonly number[]>): Derivation<ResourceSet> {
  const tcpListeners = engine.derive("tcp listeners", (read) => new Map(tcpListenerFacts(read, facts).map((each) => [`${each.address}_${each.port}`, each])));
  const listener = engine.derive(
    "outbound listener",
    (read, name): EncodedResource | undefined => {
      if (name === "virtualOutbound") return virtualOutbound();
      const tcp = read.derived(tcpListeners, "").get(name);
      if (tcp !== undefined) return outboundTcp(tcp);
      const port = read.derived(httpPorts, "").find((each) => httpListener(each) === name);
      return port === undefined ? undefined : outboundHttp(port);
    },
    { equals: sameResource },
  );
  const outbound = engine.derive(
    "outbound listeners",
    (read) => derivedSet(read, listener, ["virtualOutbound", ...read.derived(httpPorts, "").map(httpListener), ...read.derived(tcpListeners, "").keys()]),
    { equals: sameSet },
  );
  const own = engine.derive(
    "inbound listener",
    (read, key) => {
      const peers = read.derived(facts.peerModes, key);
      return peers === undefined
        ? undefined
        : virtualInbound({ ports: read.derived(facts.inboundPorts, key), peers, policies: read.derived(facts.policies, key) });
    },
    { equals: sameResource },
  );
  return engine.derive(
    "sidecar listeners",
    (read, key) => {
      const mine = read.derived(own, key);
      return resourceSet([...read.derived(outbound, "").values(), ...(mine === undefined ? [] : [mine])]);
    },
    { equals: sameSet },
  );
}

/** A headless service has no address of its own: each of its endpoints is one. */
function tcpListenerFacts(read: Read, facts: MeshFacts): readonly TcpListenerFacts[] {
  const found = new Map<string, TcpListenerFacts>();
  for (const { service, port } of servicePorts(read, facts, "tcp")) {
    const cluster = outboundCluster({ port: port.number, subset: "", host: service.host });
    const addresses =
      service.addresses.length > 0
        ? service.addresses.map((address) => ({ address, port: port.number }))
        : read.derived(facts.endpoints, cluster).map(({ address, port: number }) => ({ address, port: number }));
    for (const at of addresses) {
      const name = `${at.address}_${at.port}`;
      if (!found.has(name)) found.set(name, { ...at, cluster, by: port.by });
    }
  }
  return [...found.values()];
}

/**
 * Routes of one port differ between clients only by namespace (short names) and by the labels that some VirtualService asks
 * for: clients that agree on those share them.
 */
function deriveRoutes(engine: Incremental, facts: MeshFacts, httpPorts: Derivation<readonly number[]>): Derivation<ResourceSet> {
  const routes = engine.derive(
    "routes",
    (read, key) => {
      const { port, client } = JSON.parse(key) as ClientPort;
      const hosts = routeHosts(read, facts, { port, client });
      return encodeResource(RouteConfigurationSchema, String(port), routeConfiguration(String(port), hosts, [allowAny()]));
    },
    { equals: sameResource },
  );
  return engine.derive(
    "sidecar routes",
    (read, key) => {
      const of = read.derived(facts.workload, key);
      if (of === undefined) return resourceSet([]);
      const client = clientClass(of, read.derived(facts.sourceLabelKeys, ""));
      return resourceSet(read.derived(httpPorts, "").map((port) => read.derived(routes, JSON.stringify({ port, client }))));
    },
    { equals: sameSet },
  );
}

interface ClientPort {
  readonly port: number;
  readonly client: RouteContext["client"];
}

function clientClass({ namespace, labels }: Workload, keys: readonly string[]): RouteContext["client"] {
  return { namespace, labels: Object.fromEntries(keys.flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]]]))) };
}

function routeHosts(read: Read, facts: MeshFacts, { port, client }: ClientPort): readonly HostRoutes[] {
  const world = facts.reader(read);
  const onlyPortOf = (host: string): number | undefined => onlyPort(read.derived(facts.service, host));
  const context: RouteContext = { gateway: meshGateway, port, client, onlyPortOf };
  const services = servicePorts(read, facts, "http").filter(({ port: { number } }) => number === port);
  const ofServices = services.map(({ service, port: servicePort }): HostRoutes => {
    const names = [...namesOfService(service.host, client.namespace), ...service.addresses];
    const routes = serviceRoutes({ service, port: servicePort, claim: read.derived(facts.claim, service.host), context, world });
    return { name: `${service.host}:${port}`, domains: withPort(names, port), routes, by: service.by };
  });
  return [...ofServices, ...otherHosts(read, facts, context)];
}

function otherHosts(read: Read, facts: MeshFacts, context: RouteContext): readonly HostRoutes[] {
  return read.derived(facts.foreignHosts, "").map(([host, virtualService]) => ({
    name: `${host}:${context.port}`,
    domains: withPort([host], context.port),
    routes: routesOf(virtualService, context),
    by: provenanceOf(virtualService, "spec.hosts"),
  }));
}

export function onlyPort(service: MeshService | undefined): number | undefined {
  const [only, ...more] = service?.ports ?? [];
  return more.length === 0 ? only?.number : undefined;
}

function withPort(names: readonly string[], port: number): readonly string[] {
  return names.flatMap((name) => [name, `${name}:${port}`]);
}
