/** What `weft install --wait` promises, one after the other; while one is missing, a line says why. */
import type { Clock } from "#host/clock.ts";
import type { Node } from "#model/core.ts";
import type { Deployment } from "#model/apps.ts";
import { CONTROL, GATEWAY, SYSTEM, WEBHOOK } from "#compile/install/manifest.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { CliError } from "#cli/context.ts";
import type { Progress } from "#cli/progress.ts";
import { hasCondition } from "#cli/up/waiting.ts";
import { waitUntil } from "#cli/wait-until.ts";
import { whyNotReady } from "./pods-of.ts";

export interface Waiter {
  readonly clock: Clock;
  readonly progress: Progress;
  readonly api: ClusterApi;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Each look costs a busy API server something. */
const POLL_MS = 250;
const IMAGE_STEP =
  "put the image into every node (npm run image; ctr -n k8s.io images import dist/weft-image.tar), or name one that nodes can get with --image";

/** `next`: what to do when the time is up. */
export async function waitFor(
  { clock, progress, signal, timeoutMs }: Waiter,
  label: string,
  next: string,
  check: () => Promise<string | undefined>,
): Promise<void> {
  const missing = await waitUntil(clock, progress, { label, timeoutMs, signal, pollMs: POLL_MS }, check);
  if (missing === undefined) return;
  const step = /ErrImagePull|ImagePullBackOff|ErrImageNeverPull/.test(missing) ? IMAGE_STEP : next;
  throw new CliError(`${label}: waited ${Math.round(timeoutMs / 1000)} s: ${missing}\n      next:  ${step}`, 1);
}

interface WithConditions {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

export async function waitForDefinitions(waiter: Waiter, paths: readonly string[]): Promise<void> {
  await waitFor(waiter, "definitions", "kubectl get crd", async () => {
    const states = await Promise.all(paths.map(async (path) => ({ path, crd: await waiter.api.find<WithConditions>(path) })));
    const missing = states.find(({ crd }) => !hasCondition(crd?.status?.conditions, "Established"));
    if (missing === undefined) return undefined;
    const refusal = missing.crd?.status?.conditions?.find(({ type, status }) => type === "NamesAccepted" && status === "False")?.message;
    return `${missing.path.slice(missing.path.lastIndexOf("/") + 1)} is not established${refusal === undefined ? "" : `: ${refusal}`}`;
  });
}

function logsOf(namespace: string, what: string): string {
  return `kubectl -n ${namespace} describe ${what}; kubectl -n ${namespace} logs ${what} --tail=50`;
}

export async function waitForDeployment(
  waiter: Waiter,
  label: string,
  { namespace, name, all }: { readonly namespace: string; readonly name: string; readonly all: boolean },
): Promise<string> {
  let said = "";
  await waitFor(waiter, label, logsOf(namespace, `deployment/${name}`), async () => {
    const deployment = await waiter.api.get<Deployment>(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
    const wanted = deployment.spec.replicas ?? 1;
    const { observedGeneration = 0, updatedReplicas = 0, availableReplicas = 0 } = deployment.status ?? {};
    const isSeen = observedGeneration >= (deployment.metadata.generation ?? 0);
    const available = Math.min(updatedReplicas, availableReplicas);
    said = `${available} of ${wanted} available`;
    if (isSeen && available >= (all ? wanted : Math.min(1, wanted))) return undefined;
    return `${said}; ${await whyNotReady(waiter.api, { namespace, app: name })}`;
  });
  return said;
}

export function waitForControl(waiter: Waiter, all: boolean): Promise<string> {
  return waitForDeployment(waiter, "control", { namespace: SYSTEM, name: CONTROL, all });
}

/** The injector is not asked before the API server knows whom to trust. */
export function waitForInjector(waiter: Waiter): Promise<void> {
  interface Configuration {
    readonly webhooks?: readonly { readonly clientConfig?: { readonly caBundle?: string } }[];
  }
  return waitFor(waiter, "injector", logsOf(SYSTEM, `deployment/${CONTROL}`), async () => {
    const found = await waiter.api.get<Configuration>(`/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK}`);
    const isTrusted = found.webhooks?.every(({ clientConfig }) => (clientConfig?.caBundle ?? "") !== "") === true;
    return isTrusted ? undefined : `the control plane's leader has not put its certificate into MutatingWebhookConfiguration ${WEBHOOK} yet`;
  });
}

export interface DaemonSet {
  readonly metadata: { readonly generation?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly desiredNumberScheduled?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberReady?: number;
    readonly numberAvailable?: number;
  };
}

/** `app`: its name and its pods' label. */
export async function waitForDaemons(waiter: Waiter, label: string, app: string): Promise<string> {
  let said = "";
  await waitFor(waiter, label, logsOf(SYSTEM, `daemonset/${app}`), async () => {
    const { metadata, status = {} } = await waiter.api.get<DaemonSet>(`/apis/apps/v1/namespaces/${SYSTEM}/daemonsets/${app}`);
    const { observedGeneration = 0, desiredNumberScheduled: wanted = 0, updatedNumberScheduled = 0, numberReady = 0 } = status;
    const ready = Math.min(updatedNumberScheduled, numberReady);
    said = `ready on ${ready} of ${wanted} nodes`;
    if (observedGeneration >= (metadata.generation ?? 0) && wanted > 0 && ready >= wanted) return undefined;
    return `${said}; ${await whyNotReady(waiter.api, { namespace: SYSTEM, app })}`;
  });
  return said;
}

export async function waitForNodes(waiter: Waiter): Promise<string> {
  let names: readonly string[] = [];
  await waitFor(waiter, "nodes", "kubectl describe nodes", async () => {
    const nodes = await waiter.api.list<Node>("/api/v1/nodes");
    names = nodes.map(({ metadata }) => metadata.name);
    const waiting = nodes.find(({ status }) => !hasCondition(status?.conditions, "Ready"));
    if (waiting === undefined) return undefined;
    const why = waiting.status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "its kubelet says nothing";
    return `${waiting.metadata.name} is not Ready: ${why.replaceAll(/\s+/g, " ")}`;
  });
  return `${names.join(", ")} Ready`;
}

export function waitForGateway(waiter: Waiter, namespace: string): Promise<string> {
  return waitForDeployment(waiter, "gateway", { namespace, name: GATEWAY, all: false });
}
