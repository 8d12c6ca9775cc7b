/** Waits for what `weft up` promises, and says meanwhile what it waits for. */
import type { Clock } from "#host/clock.ts";
import type { Node, Pod } from "#model/core.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import type { Progress } from "#cli/progress.ts";

const POLL_MS = 100;
/** How often a line says what is still missing. */
const TELL_EVERY_MS = 5000;

interface Waiting {
  readonly label: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** `check` returns undefined when it is done, else what is missing. Resolves with what was still missing when the time was up. */
async function waitUntil(clock: Clock, progress: Progress, waiting: Waiting, check: () => Promise<string | undefined>): Promise<string | undefined> {
  const startedAt = clock.monotonic();
  let toldAt = startedAt;
  for (;;) {
    waiting.signal.throwIfAborted();
    const missing = await check().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    const now = clock.monotonic();
    if (missing === undefined || now - startedAt > waiting.timeoutMs) return missing;
    if (now - toldAt > TELL_EVERY_MS) {
      progress.say(waiting.label, missing);
      toldAt = now;
    }
    await clock.sleep(POLL_MS, waiting.signal);
  }
}

export interface Waiter {
  readonly clock: Clock;
  readonly progress: Progress;
  readonly api: ClusterApi;
  readonly signal: AbortSignal;
}

export function waitForApi({ clock, progress, api, signal }: Waiter, timeoutMs: number): Promise<string | undefined> {
  return waitUntil(clock, progress, { label: "api", timeoutMs, signal }, async () => ((await api.isReady()) ? undefined : "no answer yet"));
}

export function waitForNodes({ clock, progress, api, signal }: Waiter, names: readonly string[], timeoutMs: number): Promise<string | undefined> {
  return waitUntil(clock, progress, { label: "nodes", timeoutMs, signal }, async () => {
    const nodes = await api.list<Node>("/api/v1/nodes");
    const missing = names.filter((name) => !nodes.some((node) => node.metadata.name === name && hasCondition(node.status?.conditions, "Ready")));
    return missing.length === 0 ? undefined : `${names.length - missing.length} of ${names.length} Ready; not yet: ${missing.join(", ")}`;
  });
}

export interface PodCount {
  readonly ready: number;
  readonly total: number;
  readonly proxies: number;
  readonly readyProxies: number;
}

/** Waits until every pod that should run is Ready and every Deployment has the pods it asks for. */
export async function waitForPods({ clock, progress, api, signal }: Waiter, timeoutMs: number): Promise<PodCount & { readonly missing: string | undefined }> {
  let count: PodCount = { ready: 0, total: 0, proxies: 0, readyProxies: 0 };
  const missing = await waitUntil(clock, progress, { label: "pods", timeoutMs, signal }, async () => {
    const [pods, deployments] = await Promise.all([
      api.list<Pod>("/api/v1/pods"),
      api.list<{
        readonly metadata: { readonly name: string };
        readonly spec?: { readonly replicas?: number };
        readonly status?: { readonly readyReplicas?: number };
      }>("/apis/apps/v1/deployments"),
    ]);
    const wanted = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.phase !== "Succeeded");
    const waiting = wanted.filter((pod) => !hasCondition(pod.status?.conditions, "Ready"));
    const proxies = wanted.filter((pod) => pod.spec?.containers.some((container) => container.name === "istio-proxy"));
    const readyProxies = proxies.filter((pod) => pod.status?.containerStatuses?.some((container) => container.name === "istio-proxy" && container.ready));
    count = { ready: wanted.length - waiting.length, total: wanted.length, proxies: proxies.length, readyProxies: readyProxies.length };
    const [first] = waiting;
    if (first !== undefined) return `${count.ready} of ${count.total} Ready; ${describePod(first)}`;
    const behind = deployments.find((deployment) => (deployment.status?.readyReplicas ?? 0) < (deployment.spec?.replicas ?? 1));
    return behind === undefined
      ? undefined
      : `${count.ready} Ready; Deployment ${behind.metadata.name} has ${behind.status?.readyReplicas ?? 0} of ${behind.spec?.replicas ?? 1}`;
  });
  return { ...count, missing };
}

export function hasCondition(conditions: readonly { readonly type: string; readonly status: string }[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;
}

/** `ratings-v1-5c (node-2): readiness GET :9080/health -> connection refused`, from what the pod's status says. */
export function describePod(pod: Pod): string {
  const where = `${pod.metadata.name} (${pod.spec?.nodeName ?? "no node yet"})`;
  for (const container of [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]) {
    const { state } = container;
    if (state?.waiting !== undefined) return `${where}: ${container.name}: ${[state.waiting.reason, state.waiting.message].filter(Boolean).join(": ")}`;
    if (state?.terminated !== undefined) return `${where}: ${container.name}: ended with status ${state.terminated.exitCode}`;
  }
  const condition = pod.status?.conditions?.find((each) => each.status !== "True" && (each.message ?? "") !== "");
  return `${where}: ${condition?.message ?? pod.status?.phase ?? "Pending"}`;
}
