/** Why pods of Weft's own are not there yet: their state, and what the cluster said about them. */
import type { Event, Pod } from "#model/core.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { describePod, hasCondition, lastLogOf } from "#cli/up/waiting.ts";

export interface PodGroup {
  readonly namespace: string;
  /** Label `app`. */
  readonly app: string;
}

export async function listPods(api: ClusterApi, { namespace, app }: PodGroup): Promise<readonly Pod[]> {
  return api.list<Pod>(`/api/v1/namespaces/${namespace}/pods?labelSelector=app=${app}`);
}

export function isPodReady(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && hasCondition(pod.status?.conditions, "Ready");
}

/** Events that say what the pod's own state says. */
const KNOWN_BY_STATE: ReadonlySet<string> = new Set(["BackOff", "Failed", "Unhealthy"]);

/** "weft-agent-x (n1): agent: ErrImagePull: ...; FailedMount: ...". */
export async function whyNotReady(api: ClusterApi, group: PodGroup): Promise<string> {
  const pods = (await listPods(api, group)).filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const waiting = pods.find((pod) => !isPodReady(pod));
  const events = await api.list<Event>(`/api/v1/namespaces/${group.namespace}/events`).catch(() => []);
  // Without a pod its owner says why.
  const about = (event: Event): boolean =>
    waiting === undefined ? (event.involvedObject?.name ?? "").startsWith(group.app) : event.involvedObject?.name === waiting.metadata.name;
  const last = events
    .filter((event) => event.type === "Warning" && about(event))
    .toSorted((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1))
    .at(-1);
  const warning = last === undefined || KNOWN_BY_STATE.has(last.reason ?? "") ? "" : `; ${last.reason ?? ""}: ${oneLine(last.message ?? "")}`;
  if (waiting !== undefined) return `${describePod(waiting)}${(await lastLogOf(api, waiting)) || warning}`;
  return pods.length === 0 ? `no pod yet${warning}` : `${pods.length} Ready`;
}

function timeOf({ lastTimestamp, eventTime, metadata }: Event): string {
  return lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? "";
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 300)}...` : line;
}
