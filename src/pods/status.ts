/** Container states to a Pod's status, with kubelet's words, so that kubectl shows the usual ones. Pure. */
import type { ContainerState, ContainerStatus, Pod, PodStatus } from "#model/core.ts";
import { notHonoured, notHonouredText } from "./not-honoured.ts";

export interface ContainerView {
  readonly name: string;
  readonly image: string;
  /** restartable: an init container with restartPolicy Always. */
  readonly role: "init" | "restartable" | "app";
  readonly state: ContainerState;
  readonly lastState: ContainerState | undefined;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly containerId: string | undefined;
}

export interface PodView {
  readonly pod: Pod;
  readonly containers: readonly ContainerView[];
  readonly hostIP: string;
  readonly podIP: string | undefined;
  readonly startTime: string;
  readonly now: string;
  /** Its network and folders are ready. */
  readonly sandboxReady: boolean;
  readonly terminating: boolean;
  /** Refused or evicted as a whole: phase Failed with this reason. */
  readonly failed: { readonly reason: string; readonly message: string } | undefined;
}

/** Only there when something in the Pod's spec has no effect here. */
const honoured = "weft.dev/SpecHonoured";

type Phase = "Pending" | "Running" | "Succeeded" | "Failed";
type Condition = NonNullable<PodStatus["conditions"]>[number];

export function podStatus(view: PodView): PodStatus {
  const { pod, podIP, hostIP } = view;
  const init = view.containers.filter((container) => container.role !== "app");
  const apps = view.containers.filter((container) => container.role === "app");
  const phase = view.failed === undefined ? podPhase(init, apps, pod.spec.restartPolicy ?? "Always") : "Failed";
  const status: PodStatus = {
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    phase,
    conditions: conditions(view, phase, init, apps),
    hostIP,
    hostIPs: [{ ip: hostIP }],
    startTime: view.startTime,
    containerStatuses: apps.map((container) => containerStatus(container, view.terminating)),
    qosClass: qosClass(pod),
    ...view.failed,
  };
  return {
    ...status,
    ...(podIP === undefined ? {} : { podIP, podIPs: [{ ip: podIP }] }),
    ...(init.length === 0 ? {} : { initContainerStatuses: init.map((container) => containerStatus(container, view.terminating)) }),
  };
}

export function podPhase(init: readonly ContainerView[], apps: readonly ContainerView[], restartPolicy: string): Phase {
  const once = init.filter((container) => container.role === "init");
  if (once.some((container) => (container.state.terminated?.exitCode ?? 0) !== 0) && restartPolicy === "Never") return "Failed";
  if (init.some((container) => !initDone(container))) return "Pending";
  // A container that waits between two runs has stopped, one that never ran is waiting.
  const waiting = apps.some((container) => container.state.waiting !== undefined && container.lastState?.terminated === undefined);
  if (waiting) return "Pending";
  if (apps.some((container) => container.state.running !== undefined)) return "Running";
  if (restartPolicy === "Always") return "Running";
  const codes = apps.map((container) => (container.state.terminated ?? container.lastState?.terminated)?.exitCode ?? 1);
  if (codes.every((code) => code === 0)) return "Succeeded";
  return restartPolicy === "Never" ? "Failed" : "Running";
}

export function initDone(container: ContainerView): boolean {
  if (container.role === "restartable") return container.started;
  return container.state.terminated?.exitCode === 0;
}

function conditions(view: PodView, phase: Phase, init: readonly ContainerView[], apps: readonly ContainerView[]): Condition[] {
  const { pod, now } = view;
  const before = new Map((pod.status?.conditions ?? []).map((condition) => [condition.type, condition]));
  const ended = phase === "Succeeded" || phase === "Failed";
  const initialized = init.every(initDone);
  const waitingInit = init.filter((container) => !initDone(container)).map((container) => container.name);
  const unready = [...apps, ...init.filter((container) => container.role === "restartable")]
    .filter((container) => !container.ready)
    .map((container) => container.name);
  const gates = (pod.spec.readinessGates ?? []).filter((gate) => before.get(gate.conditionType)?.status !== "True").map((gate) => gate.conditionType);
  const unreadyWords = ended
    ? { reason: phase === "Succeeded" ? "PodCompleted" : "PodFailed" }
    : { reason: "ContainersNotReady", message: `containers with unready status: [${unready.join(" ")}]` };
  const containersReady = !ended && unready.length === 0;
  const ready = containersReady && gates.length === 0 && !view.terminating;
  const readyWords =
    containersReady && gates.length > 0
      ? { reason: "ReadinessGatesNotReady", message: `corresponding condition of pod readiness gate ${JSON.stringify(gates[0])} is not "True".` }
      : unreadyWords;
  const wanted: { type: string; ok: boolean; words: { reason?: string; message?: string } }[] = [
    { type: "PodReadyToStartContainers", ok: view.sandboxReady, words: {} },
    {
      type: "Initialized",
      ok: initialized,
      words: { reason: "ContainersNotInitialized", message: `containers with incomplete status: [${waitingInit.join(" ")}]` },
    },
    { type: "Ready", ok: ready, words: view.terminating && containersReady ? { reason: "PodTerminating", message: "the pod is being stopped" } : readyWords },
    { type: "ContainersReady", ok: containersReady, words: unreadyWords },
    { type: "PodScheduled", ok: true, words: {} },
  ];
  const own = wanted.map(({ type, ok, words }): Condition => {
    const status = ok ? "True" : "False";
    const old = before.get(type);
    const since = old?.status === status ? (old.lastTransitionTime ?? now) : now;
    return { type, status, lastTransitionTime: since, ...(ok ? {} : words) };
  });
  const ignored = notHonoured(pod);
  if (ignored.length > 0) {
    const since = before.get(honoured)?.lastTransitionTime ?? now;
    own.push({ type: honoured, status: "False", reason: "FieldsNotHonoured", message: notHonouredText(ignored), lastTransitionTime: since });
  }
  const types = new Set(own.map((condition) => condition.type));
  // Conditions of others (readiness gates) stay as they are.
  return [...own, ...[...before.values()].filter((condition) => !types.has(condition.type))];
}

function containerStatus(view: ContainerView, terminating: boolean): ContainerStatus {
  return {
    name: view.name,
    state: view.state,
    lastState: view.lastState ?? {},
    ready: view.ready && !terminating,
    restartCount: view.restartCount,
    image: view.image,
    imageID: `weft://${view.image}`,
    started: view.started,
    ...(view.containerId === undefined ? {} : { containerID: view.containerId }),
  };
}

function qosClass(pod: Pod): string {
  const lists = pod.spec.containers.map((container) => container.resources ?? {});
  const limited = lists.every((resources) => resources.limits?.["cpu"] !== undefined && resources.limits?.["memory"] !== undefined);
  const equal = lists.every((resources) => Object.entries(resources.requests ?? {}).every(([name, value]) => resources.limits?.[name] === value));
  if (limited && equal && lists.length > 0) return "Guaranteed";
  const any = lists.some((resources) => Object.keys({ ...resources.limits, ...resources.requests }).length > 0);
  return any ? "Burstable" : "BestEffort";
}

/** As Kubernetes writes times: seconds, UTC. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
