/** `weft status`: what is true now. `-o json` has the same facts. */
import type { Node, Pod } from "#model/core.ts";
import { CliError, type CliContext } from "./context.ts";
import { openRunningCluster, type RunningCluster } from "./running-cluster.ts";
import { formatAge, formatTable } from "./table.ts";
import { countProxies, describePod, hasCondition, SPEC_HONOURED } from "./up/waiting.ts";

interface NodeStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly pods: number;
  readonly podCIDR: string;
  readonly memoryBytes: number | undefined;
}

interface ClusterStatus {
  readonly name: string;
  /** All nodes and pods are. */
  readonly ready: boolean;
  readonly upSeconds: number;
  readonly api: string;
  readonly gateway: string | undefined;
  readonly pods: { readonly ready: number; readonly total: number };
  readonly proxies: { readonly ready: number; readonly total: number };
  readonly nodes: readonly NodeStatus[];
  readonly warnings: readonly string[];
}

const AGENT_PORT = 10252;

export async function status(context: CliContext, name: string, output: string | undefined): Promise<number> {
  if (output !== undefined && output !== "json") throw new CliError(`-o ${output} is not known; there is: json`);
  const cluster = await openRunningCluster(context, name);
  const facts = await readStatus(context, cluster, name);
  context.terminal.out(output === "json" ? `${JSON.stringify(facts, undefined, 2)}\n` : formatStatus(facts));
  return facts.ready ? 0 : 1;
}

async function readStatus({ host }: CliContext, { record, api, access }: RunningCluster, name: string): Promise<ClusterStatus> {
  const [nodes, pods, gateway] = await Promise.all([
    api.list<Node>("/api/v1/nodes"),
    api.list<Pod>("/api/v1/pods"),
    api
      .get<{ readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] } } }>(
        "/api/v1/namespaces/istio-system/services/istio-ingressgateway",
      )
      .catch(() => undefined),
  ]);
  const waiting = pods.filter((pod) => !hasCondition(pod.status?.conditions, "Ready") && pod.status?.phase !== "Succeeded");
  const facts = await Promise.all(
    nodes.map(async (node) => ({
      name: node.metadata.name,
      ready: hasCondition(node.status?.conditions, "Ready"),
      pods: pods.filter((pod) => pod.spec?.nodeName === node.metadata.name).length,
      podCIDR: node.spec?.podCIDR ?? "-",
      memoryBytes: await agentMemory(api, node.metadata.name),
    })),
  );
  const hasGateway = gateway?.status?.loadBalancer?.ingress?.[0]?.ip !== undefined;
  return {
    name,
    ready: waiting.length === 0 && facts.every((node) => node.ready),
    upSeconds: Math.round((host.clock.now() - Date.parse(record.startedAt)) / 1000),
    api: access.url,
    gateway: hasGateway ? `http://127.0.0.1:${record.ports.http}` : undefined,
    pods: { ready: pods.length - waiting.length, total: pods.length },
    proxies: countProxies(pods),
    nodes: facts,
    warnings: [
      ...waiting.map((pod) => `Pod ${pod.metadata.namespace ?? "default"}/${describePod(pod)}`),
      ...pods.flatMap(notHonoured),
      ...(await unsupported(api)),
    ],
  };
}

async function agentMemory(api: RunningCluster["api"], node: string): Promise<number | undefined> {
  const text = await api.get<unknown>(`/api/v1/nodes/${node}:${AGENT_PORT}/proxy/metrics`).catch(() => undefined);
  const match = typeof text === "string" ? /^process_resident_memory_bytes\s+([0-9.e+]+)/m.exec(text) : null;
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

interface WithConditions {
  readonly kind?: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    /** Of a Gateway. */
    readonly listeners?: readonly { readonly conditions?: readonly Condition[] }[];
    /** Of an HTTPRoute. */
    readonly parents?: readonly { readonly conditions?: readonly Condition[] }[];
  };
}

/** Kinds whose status says what of them is not enforced. */
const MESH_RESOURCES: readonly (readonly [string, string])[] = [
  ["VirtualService", "/apis/networking.istio.io/v1/virtualservices"],
  ["DestinationRule", "/apis/networking.istio.io/v1/destinationrules"],
  ["Gateway", "/apis/networking.istio.io/v1/gateways"],
  ["PeerAuthentication", "/apis/security.istio.io/v1/peerauthentications"],
  ["AuthorizationPolicy", "/apis/security.istio.io/v1/authorizationpolicies"],
  ["Gateway", "/apis/gateway.networking.k8s.io/v1/gateways"],
  ["HTTPRoute", "/apis/gateway.networking.k8s.io/v1/httproutes"],
];

/** What a resource asks for and does not get, as its conditions say: every condition that is False with a message. */
async function unsupported(api: RunningCluster["api"]): Promise<readonly string[]> {
  const found = await Promise.all(
    MESH_RESOURCES.map(async ([kind, path]) => (await api.list<WithConditions>(path).catch(() => [])).flatMap((object) => refusedParts(kind, object))),
  );
  return found.flat();
}

/** What the pod asks for and its node does not do; the condition is there only then. */
function notHonoured({ metadata, status }: Pod): readonly string[] {
  const condition = status?.conditions?.find(({ type }) => type === SPEC_HONOURED);
  return condition === undefined ? [] : [`Pod ${metadata.namespace ?? "default"}/${metadata.name} ${condition.message ?? ""}`];
}

function refusedParts(kind: string, { metadata, status }: WithConditions): readonly string[] {
  const conditions = [...(status?.conditions ?? []), ...[...(status?.listeners ?? []), ...(status?.parents ?? [])].flatMap((part) => part.conditions ?? [])];
  const messages = conditions.filter((condition) => condition.status === "False" && (condition.message ?? "") !== "").map(({ message = "" }) => message);
  return [...new Set(messages)].map((message) => `${kind} ${metadata.namespace ?? "default"}/${metadata.name} ${message}`);
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

function formatStatus(facts: ClusterStatus): string {
  const head = [
    `cluster ${facts.name}`,
    `up ${formatAge(facts.upSeconds * 1000)}`,
    count(facts.nodes.length, "node", "nodes"),
    `${facts.pods.ready} of ${count(facts.pods.total, "pod", "pods")} Ready`,
    `${facts.proxies.ready} of ${count(facts.proxies.total, "proxy", "proxies")} Ready`,
  ].join("   ");
  const rows = facts.nodes.map((node) => [
    node.name,
    node.ready ? "Ready" : "NotReady",
    String(node.pods),
    node.podCIDR,
    "vxlan",
    node.memoryBytes === undefined ? "-" : `${Math.round(node.memoryBytes / 1_048_576)} MB`,
  ]);
  const table = formatTable([["NODE", "STATE", "PODS", "POD CIDR", "ENCAP", "MEMORY"], ...rows]);
  const places = `api     ${facts.api}\n${facts.gateway === undefined ? "" : `gateway ${facts.gateway}\n`}`;
  return `${head}\n${table}${places}${facts.warnings.map((warning) => `warn    ${warning}\n`).join("")}`;
}
