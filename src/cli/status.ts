/** `weft status`: what is true now. `-o json` has the same facts. */
import type { Node, Pod } from "#model/core.ts";
import { CliError, type CliContext } from "./context.ts";
import { agentMemory, agentsOf } from "./kubernetes/agents.ts";
import { chooseCluster, type ClusterChoice, type EmbeddedCluster } from "./kubernetes/choose-cluster.ts";
import { kubernetesStatus } from "./kubernetes/status.ts";
import { count, formatAge, formatTable } from "./table.ts";
import { countProxies, describePod, hasCondition } from "./up/waiting.ts";
import { notHonoured, unsupported } from "./warnings.ts";

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

export async function status(context: CliContext, choice: ClusterChoice, output: string | undefined): Promise<number> {
  if (output !== undefined && output !== "json") throw new CliError(`-o ${output} is not known; there is: json`);
  const cluster = await chooseCluster(context, choice);
  if (cluster.kind === "kubernetes") return kubernetesStatus(context, cluster, output);
  const facts = await readStatus(context, cluster);
  context.terminal.out(output === "json" ? `${JSON.stringify(facts, undefined, 2)}\n` : formatStatus(facts));
  return facts.ready ? 0 : 1;
}

async function readStatus({ host }: CliContext, cluster: EmbeddedCluster): Promise<ClusterStatus> {
  const { record, api, access, name } = cluster;
  const agents = await agentsOf(cluster);
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
      memoryBytes: await agentMemory(
        api,
        agents.find((agent) => agent.node === node.metadata.name),
      ),
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
