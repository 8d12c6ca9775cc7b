/** `weft status` of a Kubernetes cluster, with the user's own rights: what they do not allow is said, and the rest is shown. */
import { AGENT, CONTROL, SYSTEM } from "#compile/install/manifest.ts";
import { NAMES } from "#compile/install/names.ts";
import type { Deployment } from "#model/apps.ts";
import type { ConfigMap, Node, Pod, Service } from "#model/core.ts";
import { CONFIG_KEY, CONFIG_MAP, type KubernetesConfig } from "#model/kubernetes-config.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { count, formatTable } from "#cli/table.ts";
import { countProxies, describePod, hasCondition } from "#cli/up/waiting.ts";
import { notHonoured, unsupported } from "#cli/warnings.ts";
import type { KubernetesCluster } from "./access.ts";
import { agentMemory, agentsOf } from "./agents.ts";
import { isForbidden, missingRight } from "./rights.ts";

interface NodeStatus {
  readonly name: string;
  readonly ready: boolean;
  /** Absent: no agent runs there. */
  readonly agentReady?: boolean;
  /** Absent: nobody answers names there, with profile mesh never one of ours. */
  readonly namesReady?: boolean;
  readonly pods: number;
  readonly podCIDR: string;
  readonly memoryBytes?: number;
}

interface KubernetesStatus {
  readonly api: string;
  readonly profile: string;
  readonly image: string;
  readonly ready: boolean;
  readonly control?: { readonly available: number; readonly wanted: number; readonly leader?: string };
  readonly gateway?: string;
  readonly pods: { readonly ready: number; readonly total: number };
  readonly proxies: { readonly ready: number; readonly total: number };
  readonly nodes: readonly NodeStatus[];
  readonly warnings: readonly string[];
  /** Rights that the user has not got: what they would have shown is not there. */
  readonly missing: readonly string[];
}

/** More would be a page of what one `kubectl get pods` shows better. */
const MOST_PODS = 8;

export async function kubernetesStatus(context: CliContext, cluster: KubernetesCluster, output: string | undefined): Promise<number> {
  const facts = await readFacts(cluster);
  context.terminal.out(output === "json" ? `${JSON.stringify(facts, undefined, 2)}\n` : format(facts));
  for (const text of facts.missing) context.terminal.err(`weft: ${text}\n`);
  return facts.missing.length > 0 ? 2 : facts.ready ? 0 : 1;
}

async function readFacts(cluster: KubernetesCluster): Promise<KubernetesStatus> {
  const { api, access } = cluster;
  const missing: string[] = [];
  const allowed = async <T>(what: string, right: string, ask: Promise<T>): Promise<T | undefined> =>
    ask.catch((error: unknown) => {
      if (!isForbidden(error)) throw error;
      missing.push(missingRight(`see ${what}`, right));
      return undefined;
    });
  const config = await api.find<ConfigMap>(`/api/v1/namespaces/${SYSTEM}/configmaps/${CONFIG_MAP}`).catch((error: unknown) => {
    throw isForbidden(error) ? new CliError(missingRight("see the status", `get configmaps in namespace ${SYSTEM}`)) : error;
  });
  const text = config?.data?.[CONFIG_KEY];
  if (text === undefined) throw new CliError(`Weft is not installed on ${access.url}; install it:  weft install --wait`, 1);
  const { profile, image, rootNamespace } = JSON.parse(text) as KubernetesConfig;
  const system = `/apis/apps/v1/namespaces/${SYSTEM}`;
  const [nodes = [], pods = [], agents, deployment, lease, gateway, refused] = await Promise.all([
    allowed("nodes", "list nodes", api.list<Node>("/api/v1/nodes")),
    allowed("pods", "list pods", api.list<Pod>("/api/v1/pods")),
    agentsOf(cluster).catch(() => []),
    allowed("the control plane", `get deployments.apps in namespace ${SYSTEM}`, api.find<Deployment>(`${system}/deployments/${CONTROL}`)),
    api
      .find<{ readonly spec?: { readonly holderIdentity?: string } }>(`/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/${CONTROL}`)
      .catch(() => undefined),
    api.find<Service>(`/api/v1/namespaces/${rootNamespace}/services/istio-ingressgateway`).catch(() => undefined),
    unsupported(api),
  ]);
  const running = pods.filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded");
  const waiting = running.filter(({ status }) => !hasCondition(status?.conditions, "Ready"));
  const nodeFacts = await Promise.all(
    nodes.map(async (node): Promise<NodeStatus> => {
      const { name } = node.metadata;
      const [agentReady, namesReady] = [AGENT, NAMES].map((app) => readyOn(running, app, name));
      const memoryBytes = await agentMemory(
        api,
        agents.find((each) => each.node === name),
      );
      return {
        name,
        ready: hasCondition(node.status?.conditions, "Ready"),
        ...(agentReady === undefined ? {} : { agentReady }),
        ...(namesReady === undefined ? {} : { namesReady }),
        pods: running.filter(({ spec }) => spec.nodeName === name).length,
        podCIDR: node.spec?.podCIDR ?? "-",
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      };
    }),
  );
  const control = deployment === undefined ? undefined : controlFacts(deployment, lease?.spec?.holderIdentity);
  const address = gateway?.status?.loadBalancer?.ingress?.[0];
  const place = address?.ip ?? address?.hostname;
  return {
    api: access.url,
    profile,
    image,
    ready: waiting.length === 0 && control?.ready === true && nodeFacts.every((node) => isNodeReady(node, profile)),
    ...(control === undefined ? {} : { control: control.facts }),
    ...(place === undefined ? {} : { gateway: `http://${place}` }),
    pods: { ready: running.length - waiting.length, total: running.length },
    proxies: countProxies(running),
    nodes: nodeFacts,
    warnings: [...waitingTexts(waiting), ...running.flatMap(notHonoured), ...refused],
    missing: missing.sort(),
  };
}

/** Of a program that has a pod on each node: while one replaces another it is enough that one is. undefined: there is none. */
function readyOn(running: readonly Pod[], app: string, node: string): boolean | undefined {
  const pods = running.filter(({ metadata, spec }) => metadata.namespace === SYSTEM && metadata.labels?.["app"] === app && spec.nodeName === node);
  return pods.length === 0 ? undefined : pods.some(({ status }) => hasCondition(status?.conditions, "Ready"));
}

function isNodeReady({ ready, agentReady, namesReady }: NodeStatus, profile: string): boolean {
  return ready && agentReady === true && (profile !== "full" || namesReady === true);
}

function controlFacts({ spec, status }: Deployment, leader: string | undefined): { ready: boolean; facts: NonNullable<KubernetesStatus["control"]> } {
  const wanted = spec.replicas ?? 0;
  const available = status?.availableReplicas ?? 0;
  return { ready: available >= wanted && wanted > 0, facts: { available, wanted, ...(leader === undefined || leader === "" ? {} : { leader }) } };
}

function waitingTexts(waiting: readonly Pod[]): readonly string[] {
  const shown = waiting.slice(0, MOST_PODS).map((pod) => `Pod ${pod.metadata.namespace ?? ""}/${describePod(pod)}`);
  return waiting.length > MOST_PODS ? [...shown, `${waiting.length - MOST_PODS} more pods are not Ready`] : shown;
}

function format({ api, profile, control, gateway, pods, proxies, nodes, warnings }: KubernetesStatus): string {
  const head = [
    `cluster ${new URL(api).host}`,
    `profile ${profile}`,
    ...(nodes.length === 0 ? [] : [count(nodes.length, "node", "nodes")]),
    `${pods.ready} of ${count(pods.total, "pod", "pods")} Ready`,
    `${proxies.ready} of ${count(proxies.total, "proxy", "proxies")} Ready`,
  ].join("   ");
  const said = (isReady: boolean | undefined) => (isReady === undefined ? "none" : isReady ? "Ready" : "NotReady");
  const ofFull = (text: string) => (profile === "full" ? [text] : []);
  const rows = nodes.map(({ name, ready, agentReady, namesReady, pods: on, podCIDR, memoryBytes }) => [
    name,
    said(ready),
    said(agentReady),
    ...ofFull(said(namesReady)),
    String(on),
    podCIDR,
    memoryBytes === undefined ? "-" : `${Math.round(memoryBytes / 1_048_576)} MB`,
  ]);
  const leader = control?.leader === undefined ? "" : `, leader ${control.leader}`;
  return [
    `${head}\n`,
    rows.length === 0 ? "" : formatTable([["NODE", "STATE", "AGENT", ...ofFull("NAMES"), "PODS", "POD CIDR", "MEMORY"], ...rows]),
    control === undefined ? "" : `control ${control.available} of ${control.wanted} available${leader}\n`,
    gateway === undefined ? "" : `gateway ${gateway}\n`,
    ...warnings.map((warning) => `warn    ${warning}\n`),
  ].join("");
}
