/** What `kubectl get pods` says of a pod: the most telling of its phase, its containers' states and its deletion. */
import type { ContainerStatus, Pod } from "#model/core.ts";

function isSidecar(pod: Pod, name: string): boolean {
  return pod.spec.initContainers?.some((container) => container.name === name && container.restartPolicy === "Always") === true;
}

export function podReady(pod: Pod): string {
  const statuses = pod.status?.containerStatuses ?? [];
  const sidecars = (pod.status?.initContainerStatuses ?? []).filter(({ name }) => isSidecar(pod, name));
  const all = pod.spec.containers.length + (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always").length;
  const ready = [...statuses.filter((status) => status.ready && status.state?.running !== undefined), ...sidecars.filter((status) => status.ready)].length;
  return `${ready}/${all}`;
}

export function podStatusText(pod: Pod): string {
  const { status } = pod;
  const reason = initReason(pod) ?? containerReason(pod) ?? status?.reason ?? status?.phase ?? "Unknown";
  if (pod.metadata.deletionTimestamp === undefined) return reason;
  return status?.reason === "NodeLost" ? "Unknown" : "Terminating";
}

function initReason(pod: Pod): string | undefined {
  const statuses = pod.status?.initContainerStatuses ?? [];
  const total = (pod.spec.initContainers ?? []).length;
  for (const [index, status] of statuses.entries()) {
    const { terminated, waiting } = status.state ?? {};
    if (terminated?.exitCode === 0 || (isSidecar(pod, status.name) && status.started === true)) continue;
    if (terminated !== undefined) return `Init:${terminated.reason ?? exitText(terminated)}`;
    if (waiting?.reason !== undefined && waiting.reason !== "PodInitializing") return `Init:${waiting.reason}`;
    return `Init:${index}/${total}`;
  }
  return undefined;
}

function containerReason(pod: Pod): string | undefined {
  let reason: string | undefined;
  let hasRunning = false;
  for (const { state, ready } of (pod.status?.containerStatuses ?? []).toReversed()) {
    if (state?.waiting?.reason !== undefined) reason = state.waiting.reason;
    else if (state?.terminated !== undefined) reason = state.terminated.reason ?? exitText(state.terminated);
    else if (ready && state?.running !== undefined) hasRunning = true;
  }
  if (reason !== "Completed" || !hasRunning) return reason;
  const isReady = pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  return isReady === true ? "Running" : "NotReady";
}

function exitText({ signal, exitCode }: { readonly signal?: number; readonly exitCode: number }): string {
  return signal === undefined || signal === 0 ? `ExitCode:${exitCode}` : `Signal:${signal}`;
}

/** "3 (2m ago)". */
export function podRestarts(pod: Pod, ageOf: (time: string) => string): string {
  const counted: readonly ContainerStatus[] = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []).filter(({ name }) => isSidecar(pod, name)),
  ];
  const count = counted.reduce((sum, { restartCount }) => sum + restartCount, 0);
  const times = counted.flatMap(({ lastState }) => (lastState?.terminated?.finishedAt === undefined ? [] : [lastState.terminated.finishedAt]));
  const last = times.toSorted().at(-1);
  return count === 0 || last === undefined ? String(count) : `${count} (${ageOf(last)} ago)`;
}
