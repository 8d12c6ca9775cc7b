/** Waits for what `weft up` promises, and says meanwhile what it waits for. */
import type { Clock } from "#host/clock.ts";
import type { Node, Pod } from "#model/core.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import type { Progress } from "#cli/progress.ts";
import { waitUntil } from "#cli/wait-until.ts";
import { PROXY_CONTAINER, proxyKindOf } from "#compile/inject/proxy-kind.ts";
import { lastWords } from "./program-ends.ts";

/** Looking costs the API server as much as the pods' start does. */
const PODS_POLL_MS = 200;
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

/** States of a container that time alone does not end; a moment is given to what else is on its way (a ConfigMap). */
const HOPELESS = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"];
const HOPELESS_AFTER_MS = 5000;
/** So often it ended: ten, twenty and forty seconds of back-off are behind it. */
const HOPELESS_RESTARTS = 3;

/** Waits until every pod that should run is Ready and every Deployment has the pods it asks for, or nothing can be hoped for. */
export async function waitForPods({ clock, progress, api, signal }: Waiter, timeoutMs: number): Promise<PodCount & { readonly missing: string | undefined }> {
  let count: PodCount = { ready: 0, total: 0, proxies: 0, readyProxies: 0 };
  let stuck: Pod | undefined;
  let hopefulAt = clock.monotonic();
  const isHopeless = (): boolean => clock.monotonic() - hopefulAt > HOPELESS_AFTER_MS;
  const detail = async (): Promise<string> => (stuck === undefined ? "" : lastLogOf(api, stuck));
  const missing = await waitUntil(clock, progress, { label: "pods", timeoutMs, pollMs: PODS_POLL_MS, signal, detail, isHopeless }, async () => {
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
    const proxies = countProxies(wanted);
    count = { ready: wanted.length - waiting.length, total: wanted.length, proxies: proxies.total, readyProxies: proxies.ready };
    // One that fails says more than one that has not begun.
    const first = waiting.find((pod) => isStuck(pod) || failingContainer(pod) !== undefined) ?? waiting[0];
    stuck = first;
    if (waiting.length === 0 || waiting.some((pod) => !isStuck(pod))) hopefulAt = clock.monotonic();
    if (first !== undefined) return `${count.ready} of ${count.total} Ready; ${describePod(first)}`;
    const behind = deployments.find((deployment) => (deployment.status?.readyReplicas ?? 0) < (deployment.spec?.replicas ?? 1));
    return behind === undefined
      ? undefined
      : `${count.ready} Ready; Deployment ${behind.metadata.name} has ${behind.status?.readyReplicas ?? 0} of ${behind.spec?.replicas ?? 1}`;
  });
  return { ...count, missing };
}

/** Condition of a pod that asks for what its node does not do; such a pod runs nevertheless. */
export const SPEC_HONOURED = "weft.dev/SpecHonoured";

export function countProxies(pods: readonly Pod[]): { readonly ready: number; readonly total: number } {
  const proxies = pods.filter((pod) => proxyKindOf(pod) !== undefined);
  const ready = proxies.filter(({ status }) =>
    [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].some(({ name, ready }) => name === PROXY_CONTAINER && ready),
  );
  return { ready: ready.length, total: proxies.length };
}

function isStuck(pod: Pod): boolean {
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return (
    pod.status?.phase === "Failed" ||
    all.some(
      ({ state, restartCount }) =>
        HOPELESS.includes(state?.waiting?.reason ?? "") || (state?.waiting !== undefined && (restartCount ?? 0) >= HOPELESS_RESTARTS),
    )
  );
}

/** A container that ended, and waits to be started again. */
function failingContainer(pod: Pod): string | undefined {
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return all.find(
    ({ state, lastState }) => state?.waiting?.reason === "CrashLoopBackOff" || (state?.running === undefined && lastState?.terminated !== undefined),
  )?.name;
}

/** Why it fails is what it said last. */
export async function lastLogOf(api: ClusterApi, pod: Pod): Promise<string> {
  const container = failingContainer(pod);
  if (container === undefined) return "";
  const { namespace = "default", name } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/log?container=${container}&tailLines=20&previous=true`;
  const text = await api.get<unknown>(path).catch(() => "");
  const words = typeof text === "string" ? lastWords(text.split("\n").filter((line) => line.trim() !== "")) : undefined;
  return words === undefined ? "" : `; it said: ${words}`;
}

export function hasCondition(conditions: readonly { readonly type: string; readonly status: string }[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;
}

/** `ratings-v1-5c (node-2): readiness GET :9080/health -> connection refused`, from what the pod's status says. */
export function describePod(pod: Pod): string {
  const where = `${pod.metadata.name} (${pod.spec?.nodeName ?? "no node yet"})`;
  for (const container of [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]) {
    const { state } = container;
    // kubelet's message of a back-off repeats the pod's name and uid.
    const waits = state?.waiting?.message?.replace(/ restarting failed container=.*$/, "");
    if (state?.waiting !== undefined) return `${where}: ${container.name}: ${[state.waiting.reason, waits].filter(Boolean).join(": ")}`;
    if (state?.terminated !== undefined) return `${where}: ${container.name}: ended with status ${state.terminated.exitCode}`;
  }
  const condition = pod.status?.conditions?.find((each) => each.status !== "True" && each.type !== SPEC_HONOURED && (each.message ?? "") !== "");
  return `${where}: ${condition?.message ?? pod.status?.phase ?? "Pending"}`;
}
