/**
 * `weft uninstall`: nothing stays, in the API or on a node. The order matters: the webhook first, so that no pod waits for who
 * is gone; the gateway while its network is still there; then every agent cleans its node and says so by being Ready; then
 * the rest. Definitions stay with users' objects unless --crds is given.
 */
import { configHash, configText } from "#compile/install/config-map.ts";
import { crdKinds, crdName } from "#compile/install/crds.ts";
import { AGENT, CONFIG_HASH_ANNOTATION, CONTROL, describeObject, GATEWAY, INSTALLATION, SYSTEM, WEBHOOK } from "#compile/install/manifest.ts";
import { NAMES } from "#compile/install/names.ts";
import { isGatewayAddress } from "#compile/mesh/gateway-address.ts";
import { gatewayController, ingressGateway } from "#compile/mesh/settings.ts";
import type { ConfigMap, Pod, Service } from "#model/core.ts";
import type { GatewayClass } from "#model/gateway-api.ts";
import { CONFIG_KEY, CONFIG_MAP, type KubernetesConfig } from "#model/kubernetes-config.ts";
import type { KubeObject } from "#model/object.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { openKubernetes } from "#cli/kubernetes/access.ts";
import { Progress } from "#cli/progress.ts";
import { deleteObject, installedObjects, isOurs, type Found } from "./apply.ts";
import { foreignObjects } from "./foreign-objects.ts";
import { listPods } from "./pods-of.ts";
import { patch, takeBackAddresses, takeBackNodeConditions, takeBackStatuses } from "./take-back.ts";
import { waitFor, waitForDaemons, type Waiter } from "./wait-for.ts";

export interface UninstallOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Until the namespaces are gone, too. */
  readonly wait: boolean;
  /** The definitions, and with them every object of theirs. */
  readonly crds: boolean;
  readonly timeout: number;
}

const APPS = "/apis/apps/v1/namespaces";
const CONFIG_PATH = `/api/v1/namespaces/${SYSTEM}/configmaps/${CONFIG_MAP}`;
const DAEMON_SET_PATH = `${APPS}/${SYSTEM}/daemonsets/${AGENT}`;

export async function uninstall(context: CliContext, options: UninstallOptions): Promise<number> {
  if (!(options.timeout > 0)) throw new CliError("--timeout: a number of seconds, such as 300");
  const { api } = await openKubernetes(context, options);
  const stopped = new AbortController();
  const signal = context.terminal.onSignal(() => stopped.abort());
  const progress = new Progress(context.host.clock, context.terminal);
  const waiter: Waiter = { clock: context.host.clock, progress, api, signal: stopped.signal, timeoutMs: options.timeout * 1000 };
  try {
    return await remove(context, options, waiter);
  } catch (error) {
    if (stopped.signal.aborted) throw new CliError("stopped in the middle; weft uninstall goes on where it was", 1);
    throw error;
  } finally {
    signal.release();
  }
}

async function remove({ terminal }: CliContext, options: UninstallOptions, waiter: Waiter): Promise<number> {
  const { api, progress } = waiter;
  const there = await api.find<ConfigMap>(CONFIG_PATH);
  const config = configOf(there);
  await deleteObject(api, `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK}`);
  progress.say("injector", "removed: pods are made as they are written");
  const root = config?.rootNamespace ?? "istio-system";
  await removeWorkload(waiter, "gateway", { path: `${APPS}/${root}/deployments/${GATEWAY}`, namespace: root, app: GATEWAY });
  await removeWorkload(waiter, "names", { path: `${APPS}/${SYSTEM}/daemonsets/${NAMES}`, namespace: SYSTEM, app: NAMES });
  if ((await api.find(DAEMON_SET_PATH)) !== undefined) await cleanNodes(waiter, config);
  await removeWorkload(waiter, "control", { path: `${APPS}/${SYSTEM}/deployments/${CONTROL}`, namespace: SYSTEM, app: CONTROL });
  const addresses = config === undefined ? 0 : await takeBackAddresses(api, config);
  if (addresses > 0) progress.say("addresses", `taken back from ${addresses} LoadBalancer ${addresses === 1 ? "Service" : "Services"}`);
  const [statuses, conditions] = [await takeBackStatuses(api), await takeBackNodeConditions(api)];
  if (statuses + conditions > 0) progress.say("statuses", `taken back from ${statuses} objects of users and ${conditions} nodes`);
  const left = await removeObjects(waiter, options);
  if (options.wait) await waitForNamespaces(waiter, left);
  const pods = (await api.list<Pod>("/api/v1/pods")).filter(hasProxy);
  if (pods.length > 0) left.push(`${pods.length} pods still have a proxy; start them anew (kubectl rollout restart), or they find no control plane`);
  const release = there?.metadata.annotations?.["meta.helm.sh/release-name"];
  if (release !== undefined) left.push(`Helm still lists its release; make it forget:  helm uninstall ${release} --ignore-not-found`);
  for (const text of left) terminal.out(`  left  ${text}\n`);
  return 0;
}

/** Also of an installation that is half gone. */
function configOf(there: ConfigMap | undefined): KubernetesConfig | undefined {
  const text = there?.data?.[CONFIG_KEY];
  return text === undefined ? undefined : (JSON.parse(text) as KubernetesConfig);
}

interface Workload {
  readonly path: string;
  readonly namespace: string;
  readonly app: string;
}

async function removeWorkload(waiter: Waiter, label: string, { path, ...group }: Workload): Promise<void> {
  const { api, progress } = waiter;
  if (!(await deleteObject(api, path))) return;
  await waitFor(waiter, label, `kubectl -n ${group.namespace} get pods`, async () => {
    const [pod] = await listPods(api, group);
    return pod === undefined ? undefined : `Pod ${group.namespace}/${pod.metadata.name} (${pod.spec.nodeName ?? "no node"}) is ending`;
  });
  progress.say(label, "removed");
}

/** Agents that start with phase "uninstall" clean their node and are Ready when nothing is left on it. */
async function cleanNodes(waiter: Waiter, config: KubernetesConfig | undefined): Promise<void> {
  const { api, progress } = waiter;
  if (config === undefined)
    throw new CliError(
      `ConfigMap ${SYSTEM}/${CONFIG_MAP} is gone, so agents cannot be told to clean their nodes; next: weft install --wait, then weft uninstall`,
      1,
    );
  const text = configText({ ...config, phase: "uninstall" });
  await patch(api, CONFIG_PATH, { data: { [CONFIG_KEY]: text } });
  await patch(api, DAEMON_SET_PATH, {
    spec: {
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "100%", maxSurge: 0 } },
      template: { metadata: { annotations: { [CONFIG_HASH_ANNOTATION]: configHash(text) } } },
    },
  });
  progress.say("nodes", `cleaned: agents ${await waitForDaemons(waiter, "agents", AGENT)}`);
  await removeWorkload(waiter, "agents", { path: DAEMON_SET_PATH, namespace: SYSTEM, app: AGENT });
}

/** Resolves with what stays, and why. */
async function removeObjects(waiter: Waiter, { crds }: UninstallOptions): Promise<string[]> {
  const { api, progress } = waiter;
  const left: string[] = [];
  const found = await installedObjects(api);
  const groups = Map.groupBy(found, ({ object }) =>
    object.kind === "CustomResourceDefinition" ? "crds" : object.kind === "Namespace" ? "namespaces" : "rest",
  );
  await removeGatewayClasses(api);
  await removeGatewayAddresses(api);
  const rest = (groups.get("rest") ?? []).toReversed();
  for (const { path } of rest) await deleteObject(api, path);
  // Bindings of roles go with their namespace; its Secret, Lease and ConfigMaps, too.
  for (const { object, path } of groups.get("namespaces") ?? []) {
    const others = object.metadata.name === SYSTEM ? [] : await foreignObjects(api, object.metadata.name);
    if (others.length === 0) await deleteObject(api, path);
    else
      left.push(
        `${describeObject(object)}: ${others.slice(0, 3).join(", ")}${others.length > 3 ? ` and ${others.length - 3} more` : ""} in it ${others.length === 1 ? "is" : "are"} not Weft's`,
      );
  }
  progress.say("removed", `${rest.length} objects`);
  left.push(...(await removeDefinitions(waiter, groups.get("crds") ?? [], crds)));
  return left;
}

/** The control plane's leader made them, by the names that it answers to. */
async function removeGatewayClasses(api: ClusterApi): Promise<void> {
  const path = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
  const there = await api.find<{ readonly items?: readonly GatewayClass[] }>(path);
  for (const { metadata, spec } of there?.items ?? []) {
    if (spec.controllerName === gatewayController && metadata.labels?.[INSTALLATION.key] !== undefined) await deleteObject(api, `${path}/${metadata.name}`);
  }
}

/** The leader's, too: Services of Gateways that people keep. */
async function removeGatewayAddresses(api: ClusterApi): Promise<void> {
  const path = `/api/v1/namespaces/${ingressGateway.namespace}/services`;
  const services = await api.list<Service>(path);
  for (const service of services.filter(isGatewayAddress)) await deleteObject(api, `${path}/${service.metadata.name}`);
}

async function removeDefinitions({ api, progress }: Waiter, definitions: readonly Found[], crds: boolean): Promise<readonly string[]> {
  if (definitions.length === 0) return [];
  const counts = await Promise.all(
    definitions.map(async ({ object }) => {
      const info = crdKinds.find((each) => crdName(each) === object.metadata.name);
      if (info === undefined) return 0;
      const list = await api.find<{ readonly items?: readonly KubeObject[] }>(`/apis/${info.group}/${info.versions[0] ?? "v1"}/${info.plural}`);
      return list?.items?.length ?? 0;
    }),
  );
  const objects = counts.reduce((sum, each) => sum + each, 0);
  const of = `${definitions.length} definitions (with ${objects} objects of users)`;
  if (!crds) return [`${of}; weft uninstall --crds removes them`];
  for (const { path } of definitions) await deleteObject(api, path);
  progress.say("definitions", `removed ${of}`);
  return [];
}

async function waitForNamespaces(waiter: Waiter, left: readonly string[]): Promise<void> {
  await waitFor(waiter, "namespaces", "kubectl get namespaces", async () => {
    const { items = [] } = await waiter.api.get<{ readonly items?: readonly KubeObject[] }>("/api/v1/namespaces");
    const ending = items.find((namespace) => isOurs(namespace) && !left.some((text) => text.startsWith(`Namespace ${namespace.metadata.name}:`)));
    return ending === undefined ? undefined : `Namespace ${ending.metadata.name} is ending`;
  });
}

function hasProxy({ metadata }: Pod): boolean {
  return metadata.annotations?.["sidecar.istio.io/status"] !== undefined && metadata.deletionTimestamp === undefined;
}
