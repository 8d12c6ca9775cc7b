/** The pages of nodes' agents, through the API server: nothing else must reach a node. */
import { AGENT_PORT } from "#compile/install/agent.ts";
import { AGENT, SYSTEM } from "#compile/install/manifest.ts";
import type { Node, Pod } from "#model/core.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { CliError } from "#cli/context.ts";
import type { ChosenCluster } from "./choose-cluster.ts";
import { isForbidden, missingRight } from "./rights.ts";

export interface AgentPages {
  readonly node: string;
  /** Path of one of its pages: "metrics", "flows?verdict=dropped". */
  page(name: string): string;
}

/** A pod's pages are read as a part of the pod; in the embedded cluster, where agents are no pods, as a part of the node. */
export const PAGES_RIGHT = `get pods/proxy in namespace ${SYSTEM}`;

export async function agentsOf(cluster: ChosenCluster): Promise<readonly AgentPages[]> {
  if (cluster.kind === "embedded") {
    const nodes = await cluster.api.list<Node>("/api/v1/nodes");
    return nodes.map(({ metadata: { name } }) => ({ node: name, page: (path) => `/api/v1/nodes/${name}:${AGENT_PORT}/proxy/${path}` }));
  }
  const folder = `/api/v1/namespaces/${SYSTEM}/pods`;
  try {
    const pods = await cluster.api.list<Pod>(`${folder}?labelSelector=app=${AGENT}`);
    return pods
      .filter(({ metadata, spec }) => metadata.deletionTimestamp === undefined && spec.nodeName !== undefined)
      .map(({ metadata: { name }, spec }) => ({ node: spec.nodeName ?? "", page: (path) => `${folder}/${name}:${AGENT_PORT}/proxy/${path}` }));
  } catch (error) {
    if (isForbidden(error)) throw new CliError(missingRight("find the agents", `list pods in namespace ${SYSTEM}`));
    throw error;
  }
}

/** Resident memory, as the agent's metrics say; undefined when they cannot be read. */
export async function agentMemory(api: ClusterApi, agent: AgentPages | undefined): Promise<number | undefined> {
  const text = agent === undefined ? undefined : await api.get<unknown>(agent.page("metrics")).catch(() => undefined);
  const match = typeof text === "string" ? /^process_resident_memory_bytes\s+([0-9.e+]+)/m.exec(text) : null;
  return match?.[1] === undefined ? undefined : Number(match[1]);
}
