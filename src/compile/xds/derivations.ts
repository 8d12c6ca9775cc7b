/**
 * The keyed derivations from the World to xDS resources. Each names what it depends on by reading it; values that come out
 * equal stop a change there. Resources that all clients see alike (clusters, endpoints, outbound listeners) have one
 * derivation each, so they are encoded once however many proxies hold them.
 */
import type { Derivation, Incremental, Read } from "#lib/incremental.ts";
import { authorizationOf } from "#compile/mesh/authorization.ts";
import { destinationRuleFor, ruleHost, subsetsOf, trafficPolicyFor } from "#compile/mesh/destination-rule.ts";
import { endpointsOf, identities, podsOf, slicesByService, type MeshEndpoint } from "#compile/mesh/endpoints.ts";
import { parseServiceHost } from "#compile/mesh/hosts.ts";
import { claimOf, foreignHosts, meshClaims, type HostClaim } from "#compile/mesh/mesh-hosts.ts";
import { peerModeOf, peerModes, type PeerModes } from "#compile/mesh/peer-authentication.ts";
import { findPort, meshService, type MeshService } from "#compile/mesh/service.ts";
import { rootNamespace } from "#compile/mesh/settings.ts";
import { sourceLabelKeys } from "#compile/mesh/virtual-service.ts";
import { inboundPorts, workload, type InboundPort, type Workload } from "#compile/mesh/workload.ts";
import type { WorldTables } from "#compile/world-tables.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { AuthorizationPolicy, DestinationRule, VirtualService } from "#model/istio.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import { matchesLabels } from "#model/selectors.ts";
import type { WorldReader } from "#model/world.ts";
import { outbound } from "./cluster.ts";
import { sameResource } from "./encode.ts";
import { loadAssignment } from "./endpoints.ts";
import { derivedSet, sameSet, type ResourceSet } from "./resource-set.ts";
import { outboundCluster, parseOutboundCluster } from "./names.ts";

/** The facts that resources are made of. */
export interface MeshFacts {
  reader(read: Read): WorldReader;
  /** By Pod key. */
  readonly workload: Derivation<Workload | undefined>;
  /** Ports of a Pod that services expose, by Pod key. */
  readonly inboundPorts: Derivation<readonly InboundPort[]>;
  readonly peerModes: Derivation<PeerModes | undefined>;
  readonly policies: Derivation<readonly AuthorizationPolicy[]>;
  /** By host. */
  readonly service: Derivation<MeshService | undefined>;
  /** All hosts of the mesh; the key is "". */
  readonly hosts: Derivation<readonly string[]>;
  readonly claim: Derivation<HostClaim>;
  /** Hosts that only VirtualServices know, with the one in force; the key is "". */
  readonly foreignHosts: Derivation<readonly (readonly [string, VirtualService])[]>;
  readonly sourceLabelKeys: Derivation<readonly string[]>;
  readonly destinationRule: Derivation<DestinationRule | undefined>;
  /** By service key ("namespace/name"). */
  readonly slices: Derivation<readonly EndpointSlice[]>;
  /** By cluster name; every endpoint of the port, or those of the subset. */
  readonly endpoints: Derivation<readonly MeshEndpoint[]>;
}

export function meshFacts(engine: Incremental, tables: WorldTables): MeshFacts {
  const reader = (read: Read): WorldReader => tables.reader(read);
  const podFacts = derivePodFacts(engine, reader);
  const serviceFacts = deriveServiceFacts(engine, reader);
  const slices = deriveSlices(engine, reader);
  return { reader, ...podFacts, ...serviceFacts, slices, endpoints: deriveEndpoints(engine, { ...podFacts, ...serviceFacts, slices }) };
}

type Reader = MeshFacts["reader"];
type PodFacts = Pick<MeshFacts, "workload" | "inboundPorts" | "peerModes" | "policies">;

function derivePodFacts(engine: Incremental, reader: Reader): PodFacts {
  const ofPod = engine.derive("workload", (read, key) => {
    const pod = reader(read).get("Pod", key);
    return pod === undefined ? undefined : workload(pod);
  });
  return {
    workload: ofPod,
    inboundPorts: engine.derive("inbound ports", (read, key) => {
      const of = read.derived(ofPod, key);
      return of === undefined ? [] : inboundPorts(of, reader(read).inNamespace("Service", of.namespace));
    }),
    peerModes: engine.derive("peer modes", (read, key) => {
      const of = read.derived(ofPod, key);
      if (of === undefined) return undefined;
      const world = reader(read);
      return peerModes(of, { own: world.inNamespace("PeerAuthentication", of.namespace), root: world.inNamespace("PeerAuthentication", rootNamespace) });
    }),
    policies: engine.derive("authorization policies", (read, key) => {
      const of = read.derived(ofPod, key);
      if (of === undefined) return [];
      const world = reader(read);
      return authorizationOf(of, [...world.inNamespace("AuthorizationPolicy", of.namespace), ...world.inNamespace("AuthorizationPolicy", rootNamespace)]);
    }),
  };
}

type ServiceFacts = Pick<MeshFacts, "service" | "hosts" | "claim" | "foreignHosts" | "sourceLabelKeys" | "destinationRule">;

function deriveServiceFacts(engine: Incremental, reader: Reader): ServiceFacts {
  const service = engine.derive("service", (read, host) => {
    const parsed = parseServiceHost(host);
    return parsed === undefined ? undefined : meshService(reader(read).get("Service", `${parsed.namespace}/${parsed.name}`));
  });
  const rules = engine.derive("destination rules by host", (read) => Map.groupBy(reader(read).all("DestinationRule"), ruleHost));
  const claims = engine.derive("mesh claims", (read) => meshClaims(reader(read)));
  return {
    service,
    hosts: engine.derive("hosts", (read) =>
      reader(read)
        .all("Service")
        .flatMap((object) => meshService(object)?.host ?? []),
    ),
    foreignHosts: engine.derive("foreign hosts", (read) => foreignHosts(read.derived(claims, ""))),
    claim: engine.derive("claim", (read, host) => claimOf(host, read.derived(claims, ""))),
    sourceLabelKeys: engine.derive("source label keys", (read) => sourceLabelKeys(reader(read).all("VirtualService"))),
    destinationRule: engine.derive("destination rule", (read, host) => {
      const byHost = read.derived(rules, "");
      const wildcards = [...byHost].flatMap(([pattern, list]) => (pattern.startsWith("*") ? list : []));
      return destinationRuleFor(host, [...(byHost.get(host) ?? []), ...wildcards]);
    }),
  };
}

function deriveSlices(engine: Incremental, reader: Reader): Derivation<readonly EndpointSlice[]> {
  const byService = engine.derive("slices by service", (read, namespace) => slicesByService(reader(read).inNamespace("EndpointSlice", namespace)));
  return engine.derive("slices", (read, key) => read.derived(byService, key.split("/")[0] ?? "").get(key) ?? []);
}

function deriveEndpoints(engine: Incremental, facts: PodFacts & ServiceFacts & Pick<MeshFacts, "slices">): Derivation<readonly MeshEndpoint[]> {
  return engine.derive("endpoints", (read, name) => {
    const parsed = parseOutboundCluster(name);
    const service = parsed && read.derived(facts.service, parsed.host);
    const port = parsed && service && findPort(service, parsed.port);
    if (parsed === undefined || service === undefined || port === undefined) return [];
    const all = endpointsOf(service, port, read.derived(facts.slices, `${service.namespace}/${service.name}`));
    if (parsed.subset === "") return all;
    const subset = subsetsOf(read.derived(facts.destinationRule, parsed.host)).find((each) => each.name === parsed.subset);
    if (subset === undefined) return [];
    return all.filter(({ pod }) => pod !== undefined && matchesLabels(subset.labels, read.derived(facts.workload, pod)?.labels));
  });
}

/** Resources that all clients share. */
export interface SharedResources {
  /** By cluster name; undefined when there is no such service, port or subset. */
  readonly cluster: Derivation<EncodedResource | undefined>;
  readonly loadAssignment: Derivation<EncodedResource | undefined>;
  /** All outbound clusters, and their endpoints; the key is "". */
  readonly clusters: Derivation<ResourceSet>;
  readonly loadAssignments: Derivation<ResourceSet>;
}

export function sharedResources(engine: Incremental, facts: MeshFacts): SharedResources {
  const namesOf = engine.derive("cluster names of host", (read, host) => {
    const service = read.derived(facts.service, host);
    if (service === undefined) return [];
    const subsets = ["", ...subsetsOf(read.derived(facts.destinationRule, host)).map(({ name }) => name)];
    return service.ports.flatMap(({ number: port }) => subsets.map((subset) => outboundCluster({ port, subset, host })));
  });
  const names = engine.derive("cluster names", (read) => read.derived(facts.hosts, "").flatMap((host) => read.derived(namesOf, host)));
  const set = (name: string, each: Derivation<EncodedResource | undefined>) =>
    engine.derive(name, (read) => derivedSet(read, each, read.derived(names, "")), { equals: sameSet });
  const cluster = engine.derive("cluster", (read, name) => clusterOf(read, name, facts), { equals: sameResource });
  const loadAssignment = engine.derive("load assignment", (read, name) => loadAssignmentOf(read, name, facts), { equals: sameResource });
  return { cluster, loadAssignment, clusters: set("clusters", cluster), loadAssignments: set("load assignments", loadAssignment) };
}

function clusterOf(read: Read, name: string, facts: MeshFacts): EncodedResource | undefined {
  const parsed = parseOutboundCluster(name);
  const service = parsed && read.derived(facts.service, parsed.host);
  const port = parsed && service && findPort(service, parsed.port);
  if (parsed === undefined || service === undefined || port === undefined) return undefined;
  const rule = read.derived(facts.destinationRule, parsed.host);
  const subset = parsed.subset === "" ? undefined : subsetsOf(rule).find((each) => each.name === parsed.subset);
  if (parsed.subset !== "" && subset === undefined) return undefined;
  // Ready or not: a rollout must not change the cluster with every pod that becomes ready.
  const pods = podsOf(read.derived(facts.slices, `${service.namespace}/${service.name}`));
  return outbound({
    ...parsed,
    policy: trafficPolicyFor(rule, subset?.name, parsed.port),
    identities: identities(pods.map((key) => read.derived(facts.workload, key))),
    by: subset?.by ?? port.by,
  });
}

function loadAssignmentOf(read: Read, name: string, facts: MeshFacts): EncodedResource | undefined {
  if (parseOutboundCluster(name) === undefined) return undefined;
  const endpoints = read.derived(facts.endpoints, name).map((endpoint) => ({
    ...endpoint,
    mtls: acceptsMtls(read, endpoint, facts),
    workload: endpoint.pod === undefined ? undefined : read.derived(facts.workload, endpoint.pod),
  }));
  return loadAssignment(name, endpoints);
}

function acceptsMtls(read: Read, { pod, port }: MeshEndpoint, facts: MeshFacts): boolean {
  if (pod === undefined || read.derived(facts.workload, pod)?.proxy !== "sidecar") return false;
  const modes = read.derived(facts.peerModes, pod);
  return modes !== undefined && peerModeOf(modes, port).mode !== "DISABLE";
}
