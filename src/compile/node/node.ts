/**
 * World -> NodePlan. The pieces (a Service, a NetworkPolicy, a pod's isolation, a Service's names) are functions of a
 * reader and a key; `compileNode` calls them for every key, NodeCompiler (node-compiler.ts) derives them one by one as
 * their inputs change. Both join them here, so that they cannot differ.
 */
import { clusterZone } from "#compile/dns/zones.ts";
import { compileNames, type ServiceNames } from "#compile/dns/zone.ts";
import { compileInterception, type PodInterception } from "#compile/interception/interception.ts";
import { compileIsolation, policyTable, type Isolation } from "#compile/policy/policy.ts";
import { compilePolicy, type PolicyRules } from "#compile/policy/policy-rules.ts";
import { GUARD_DROPS, guardTable } from "#compile/routes/guard.ts";
import { compileRoutes, placeOf, podSide, wirePod, type NodeRoutes } from "#compile/routes/routes.ts";
import { compileHostPorts, type HostPorts } from "#compile/services/host-ports.ts";
import { compileService, type ServiceRules } from "#compile/services/service-rules.ts";
import { namesBalanced } from "#compile/services/names-port.ts";
import { servicesTable } from "#compile/services/services.ts";
import { sliceService } from "#compile/world-tables.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { objectKey } from "#model/object.ts";
import type { DnsZone, NodePlan } from "#model/plan/node-plan.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { WorldReader } from "#model/world.ts";
import { comment, isShort } from "./naming.ts";
import { podsOnNode, type NodeReader } from "./pods.ts";
import { selfOf, type NodeSelf } from "./self.ts";
import type { LocalPod, NodeSettings } from "./settings.ts";

/** Each piece by its key, however it was come by. */
export interface NodePieces {
  /** undefined: it has no port that a node serves. */
  service(key: string): ServiceRules | undefined;
  hostPorts(pod: LocalPod): HostPorts;
  names(key: string): ServiceNames;
  policy(key: string): PolicyRules;
  isolation(pod: LocalPod): readonly Isolation[];
  interception(podKey: string): PodInterception;
  routes(): NodeRoutes;
  /** Of all Services. */
  zone(): DnsZone;
  cluster(): ClusterFacts;
}

/** What the plan joins by, apart from objects that change for many other reasons. */
export interface ClusterFacts {
  readonly services: readonly string[];
  readonly policies: readonly string[];
  /** Of this node, in the order of their addresses' text. */
  readonly pods: readonly LocalPod[];
  readonly nodeAddresses: readonly string[];
}

export interface NodeQuestion {
  readonly node: string;
  readonly settings: NodeSettings;
}

/** From scratch. `wired`: pods that the agent has given addresses to, known before the API says so. */
export function compileNode(world: WorldReader, question: NodeQuestion, wired: readonly LocalPod[] = []): NodePlan {
  const reader = nodeReader(world, wired, question.node);
  return joinNode(reader, question, piecesOf(reader, question));
}

function nodeReader(world: WorldReader, wired: readonly LocalPod[], node: string): NodeReader {
  const byUid = new Map(wired.map((pod) => [pod.uid, pod]));
  const sorted = [...wired].sort((a, b) => (a.uid < b.uid ? -1 : 1));
  let self: NodeSelf | undefined;
  let slices: ReadonlyMap<string | undefined, readonly EndpointSlice[]> | undefined;
  return {
    get: (kind, key) => world.get(kind, key),
    inNamespace: (kind, namespace) => world.inNamespace(kind, namespace),
    all: (kind) => world.all(kind),
    localPod: (uid) => byUid.get(uid),
    localPods: () => sorted,
    self: () => (self ??= selfOf(world, node)),
    slicesOf: (service) => (slices ??= Map.groupBy(world.all("EndpointSlice"), sliceService)).get(service) ?? [],
  };
}

export function piecesOf(reader: NodeReader, { node, settings }: NodeQuestion): NodePieces {
  return {
    service: (key) => compileService(reader, settings, key),
    hostPorts: (pod) => compileHostPorts(reader, pod),
    names: (key) => compileNames(reader, key, settings.clusterDomain),
    policy: (key) => compilePolicy(reader, settings, key),
    isolation: (pod) => compileIsolation(reader, pod),
    interception: (key) => compileInterception(reader.get("Pod", key), settings.proxyKnownBy),
    routes: () => compileRoutes(reader, node, settings),
    zone: () => compileZone(reader, settings, (key) => compileNames(reader, key, settings.clusterDomain)),
    cluster: () => ({
      services: reader.all("Service").map(objectKey),
      policies: reader.all("NetworkPolicy").map(objectKey),
      pods: uniqueAddresses(podsOnNode(reader, node)),
      nodeAddresses: [...new Set(reader.all("Node").flatMap((each) => placeOf(each)?.address ?? []))].sort(),
    }),
  };
}

/** `names`: of each Service by its key. */
export function compileZone(reader: NodeReader, settings: NodeSettings, names: (key: string) => ServiceNames): DnsZone {
  const keys = reader.all("Service").map(objectKey);
  return clusterZone(
    reader,
    keys.map((key) => names(key)),
    settings,
  );
}

/** Joins the pieces. Pods come in the order of their addresses' text, the rest in the order of keys. */
export function joinNode(reader: NodeReader, { node, settings }: NodeQuestion, pieces: NodePieces): NodePlan {
  const cluster = pieces.cluster();
  const ofServices = cluster.services.flatMap((key) => pieces.service(key) ?? []);
  const policies = new Map(cluster.policies.map((key) => [key, pieces.policy(key)]));
  const local = cluster.pods;
  const hostPorts = local.map((pod) => pieces.hostPorts(pod));
  const services = [...ofServices, ...hostPorts.flatMap(({ rules }) => rules ?? [])];
  const isolations = local.flatMap((pod) => pieces.isolation(pod));
  const interceptions = local.map((pod) => pieces.interception(`${pod.namespace}/${pod.name}`));
  const pods = local.map((pod, i) => wirePod(pod, settings, interceptions[i]?.tables ?? []));
  const routes = pieces.routes();
  const gateway = routes.addresses[0]?.cidr.split("/")[0];
  const side = podSide(pods, gateway);
  const pairs = local.map((pod) => ({ key: [pod.ip, pod.ip], comment: comment(`Pod ${pod.namespace}/${pod.name}`) }));
  return {
    node,
    vxlan: routes.vxlan,
    addresses: [...routes.addresses, ...side.addresses],
    routes: [...routes.routes, ...side.routes],
    neighbours: [...routes.neighbours, ...side.neighbours],
    sysctls: [
      ...routes.sysctls,
      ...side.sysctls,
      ...pods.map((pod, i) => ({ key: `net.ipv4.conf.${pod.hostLink}.route_localnet`, value: hostPorts[i]?.loopback === true ? "1" : "0" })),
    ],
    tables: [guardTable(pods, cluster.nodeAddresses), servicesTable(services, pairs, settings), policyTable(policies, isolations, pairs, settings)],
    pods,
    zone: pieces.zone(),
    loadBalancerAddresses: services.flatMap((part) => part.loadBalancerAddresses),
    balanced: namesBalanced(
      settings,
      services.flatMap((part) => part.balanced),
    ),
    healthChecks: services.flatMap((part) => part.healthChecks),
    drops: { ...GUARD_DROPS, ...Object.fromEntries(isolations.map(({ prefix, drop }) => [prefix, drop])) },
    notes: notesOf(services, isolations, reader),
    problems: [
      ...routes.problems,
      ...services.flatMap((part) => part.problems),
      ...[...policies.values()].flatMap((part) => part.problems),
      ...interceptions.flatMap((part) => part.problems),
    ],
  };
}

/** A pod that ended and one that began may be told with one address for a moment: the wired one, else the first, has it. */
function uniqueAddresses(pods: readonly LocalPod[]): LocalPod[] {
  const byAddress = new Map<string, LocalPod>();
  for (const pod of pods) if (!byAddress.has(pod.ip)) byAddress.set(pod.ip, pod);
  return [...byAddress.keys()].sort().flatMap((ip) => byAddress.get(ip) ?? []);
}

/** The long comments. Their names are digests of their text, so whoever can say the text again finds the name. */
function notesOf(services: readonly ServiceRules[], isolations: readonly Isolation[], reader: NodeReader): Record<string, string> {
  const texts = [
    ...services.flatMap((part) => part.notes),
    ...reader
      .all("NetworkPolicy")
      .flatMap((policy) =>
        (["ingress", "egress"] as const).flatMap((direction) => [
          `NetworkPolicy ${objectKey(policy)}`,
          ...(policy.spec?.[direction] ?? []).map((_, i) => `NetworkPolicy ${objectKey(policy)} spec.${direction}[${i}]`),
        ]),
      ),
    ...isolations.flatMap(({ drop }) => [
      `no rule allows it: ${drop.policies.map(formatProvenance).join(", ")}`,
      `Pod ${drop.pod?.namespace ?? ""}/${drop.pod?.name ?? ""}`,
    ]),
  ];
  return Object.fromEntries(
    texts
      .filter((text) => !isShort(text))
      .map((text): [string, string] => [comment(text), text])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
