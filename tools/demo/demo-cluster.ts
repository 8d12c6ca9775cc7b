/** The demo's cluster by its API: what runs, and applying the demo's files. */
import { join } from "node:path";
import { applyManifests, deleteManifests, loadManifests } from "#cli/up/manifests.ts";
import { openRunningCluster } from "#cli/running-cluster.ts";
import { hasCondition } from "#cli/up/waiting.ts";
import type { Terminal } from "#cli/context.ts";
import { realHost } from "#host/real/real.ts";
import type { Node, Pod } from "#model/core.ts";
import { checkout, CLUSTER } from "./weft-command.ts";

export interface Seen {
  readonly text: string;
  readonly ready: boolean;
  readonly node: string | undefined;
}

export interface DemoCluster {
  /** "http://127.0.0.1:18080". */
  readonly gateway: string;
  look(): Promise<{ readonly nodes: readonly Seen[]; readonly pods: readonly Seen[] }>;
  apply(file: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** Address of a pod of the namespace "default" that is on another node than the visitor. */
  addressAcross(): Promise<string>;
}

export async function openDemoCluster(): Promise<DemoCluster> {
  const host = realHost();
  const { api, record } = await openRunningCluster({ host, terminal: silentTerminal() }, CLUSTER);
  const load = (file: string): ReturnType<typeof loadManifests> => loadManifests(host.files, checkout, [join("examples/demo", file)]);
  return {
    gateway: `http://127.0.0.1:${record.ports.http}`,
    async look() {
      const [nodes, pods] = await Promise.all([api.list<Node>("/api/v1/nodes"), api.list<Pod>("/api/v1/pods")]);
      return {
        nodes: nodes.map((node) => seen(node.metadata.name, "", hasCondition(node.status?.conditions, "Ready"), undefined)),
        pods: pods.map((pod) =>
          seen(
            `${pod.metadata.namespace ?? ""}/${pod.metadata.name}`,
            pod.spec?.nodeName ?? "",
            hasCondition(pod.status?.conditions, "Ready"),
            pod.spec?.nodeName,
          ),
        ),
      };
    },
    async addressAcross() {
      const pods = await api.list<Pod>("/api/v1/pods");
      const visitor = pods.find(({ metadata }) => metadata.namespace === "visitors");
      const across = pods.find(({ metadata, spec }) => metadata.namespace === "default" && spec.nodeName !== visitor?.spec.nodeName);
      return across?.status?.podIP ?? "no pod on the other node";
    },
    async apply(file) {
      await applyManifests(api, (await load(file)).objects);
    },
    async remove(file) {
      await deleteManifests(api, (await load(file)).objects);
    },
  };
}

function seen(name: string, where: string, ready: boolean, node: string | undefined): Seen {
  return { text: `${name.padEnd(50)} ${where.padEnd(8)} ${ready ? "Ready" : "not Ready"}`, ready, node };
}

function silentTerminal(): Terminal {
  return {
    out: () => undefined,
    err: () => undefined,
    inputIsTty: false,
    color: false,
    env: process.env,
    cwd: checkout,
    args: [],
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    node: process.execPath,
    sourceRoot: checkout,
    onSignal: () => ({ release: () => undefined }),
  };
}
