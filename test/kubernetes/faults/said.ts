/** What the pods of this world say of themselves, a line of JSON a second (pod.cjs). */
import type { Pod } from "#model/core.ts";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";

/** Counts are since `startedAt`. */
export interface Said {
  readonly at: string;
  /** Of the process: another one means that it was started again. */
  readonly startedAt: string;
  readonly streams: Readonly<Record<string, Stream>>;
  readonly http: Readonly<Record<string, Asked>>;
  readonly attempts: Readonly<Record<string, Attempts>>;
  /** Connections that came in, whoever made them. */
  readonly arrived: number;
  /** Of those who ask: since when Service "news" answers them, or why it does not. */
  readonly news: { readonly since: string; readonly failure: string };
}

interface Stream {
  readonly opened: number;
  readonly echoes: number;
  /** The longest silence within the last second, or up to now. */
  readonly quietMs: number;
  /** When and how the last connection ended; empty: none did. */
  readonly ended: string;
}

interface Asked {
  readonly answered: number;
  /** When last; empty: never. */
  readonly answeredAt: string;
  readonly failed: number;
  /** When and how the last one failed. */
  readonly failure: string;
}

export interface Attempts {
  readonly tried: number;
  readonly connected: number;
  readonly echoed: number;
  /** When last; absent: never. */
  readonly connectedAt?: string;
  readonly echoedAt?: string;
}

/** By pod, "namespace/name": what those with this label said last. */
export async function lastSaid(cluster: KubernetesCluster, namespace: string, label: string, container = "app"): Promise<ReadonlyMap<string, Said>> {
  const all = await read(cluster, namespace, "-c", container, "-l", label, "--prefix", "--max-log-requests=50", "--tail=1");
  return new Map(all.flatMap(({ pod, said }) => [[`${namespace}/${pod}`, said]]));
}

/** Of the processes that run, and of those before them in the same pods. */
export async function saidSince(cluster: KubernetesCluster, namespace: string, label: string, at: Date): Promise<ReadonlyMap<string, readonly Said[]>> {
  const since = `--since-time=${at.toISOString()}`;
  const { items } = JSON.parse(await cluster.get("-n", namespace, "get", "pods", "-l", label, "-o", "json")) as { readonly items: readonly Pod[] };
  const restarted = items.filter(({ status }) => status?.containerStatuses?.some(({ name, restartCount }) => name === "app" && restartCount > 0));
  const found: Heard[] = [];
  for (const { metadata } of restarted) found.push(...(await read(cluster, namespace, metadata.name, "-c", "app", "--prefix", "--previous", since)));
  found.push(...(await read(cluster, namespace, "-c", "app", "-l", label, "--prefix", "--max-log-requests=50", "--tail=-1", since)));
  const lines = Map.groupBy(found, ({ pod }) => `${namespace}/${pod}`);
  return new Map(items.map(({ metadata: { name } }) => [`${namespace}/${name}`, (lines.get(`${namespace}/${name}`) ?? []).map(({ said }) => said)]));
}

interface Heard {
  readonly pod: string;
  readonly said: Said;
}

async function read(cluster: KubernetesCluster, namespace: string, ...flags: readonly string[]): Promise<readonly Heard[]> {
  // Of a pod that has not started nothing can be read: it will be asked again.
  const { stdout } = await cluster.kubectl("-n", namespace, "logs", "--ignore-errors", ...flags);
  return stdout.split("\n").flatMap((line) => {
    const [, pod, text] = /^\[pod\/([^/]+)\/[^\]]+\] (\{.*\})$/.exec(line) ?? [];
    return pod === undefined || text === undefined ? [] : [{ pod, said: JSON.parse(text) as Said }];
  });
}
