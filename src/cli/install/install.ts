/**
 * `weft install`: prints what Weft is on a Kubernetes cluster, for `kubectl apply -f -`; with --wait it applies that itself, and
 * says what it waits for. A second install upgrades: it applies, and removes what the older one had and this one has not.
 */
import { HostError } from "#host/host-error.ts";
import { installManifests } from "#compile/install/install.ts";
import { AGENT, describeObject, GATEWAY, objectPath, SYSTEM, type Manifest } from "#compile/install/manifest.ts";
import { NAMES } from "#compile/install/names.ts";
import type { InstallSettings } from "#compile/install/settings.ts";
import { manifestsYaml } from "#compile/install/yaml.ts";
import { CONFIG_KEY, CONFIG_MAP, type KubernetesConfig } from "#model/kubernetes-config.ts";
import type { ConfigMap, Namespace, Service } from "#model/core.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { findKubernetes, openKubernetes, type KubernetesCluster } from "#cli/kubernetes/access.ts";
import { Progress } from "#cli/progress.ts";
import { applyObject, chooseCrds, isOurs, prune } from "./apply.ts";
import { discoverCluster, type ClusterFacts } from "./discover.ts";
import { settingsFrom, type InstallFlags } from "./settings.ts";
import { waitForControl, waitForDaemons, waitForDefinitions, waitForGateway, waitForInjector, waitForNodes, type Waiter } from "./wait-for.ts";

export interface InstallOptions extends InstallFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly wait: boolean;
  /** Seconds for each thing that is waited for. */
  readonly timeout: number;
}

export async function install(context: CliContext, options: InstallOptions): Promise<number> {
  if (!(options.timeout > 0)) throw new CliError("--timeout: a number of seconds, such as 300");
  if (!options.wait) return print(context, options);
  const stopped = new AbortController();
  const signal = context.terminal.onSignal(() => stopped.abort());
  try {
    return await applyAndWait(context, options, stopped.signal);
  } catch (error) {
    if (stopped.signal.aborted) throw new CliError("stopped; what was applied stays: weft install --wait goes on, weft uninstall removes it", 1);
    throw error;
  } finally {
    signal.release();
  }
}

async function print(context: CliContext, options: InstallOptions): Promise<number> {
  const { facts, why } = await factsIfReachable(context, options);
  context.terminal.out(manifestsYaml(installManifests(settingsFrom(options, facts, why))));
  return 0;
}

/** Printing needs no cluster; what it would have told can be said. */
async function factsIfReachable(context: CliContext, options: InstallOptions): Promise<{ readonly facts?: ClusterFacts; readonly why?: string }> {
  const cluster = await findKubernetes(context, options);
  if (cluster === undefined) return { why: "there is no kubeconfig" };
  try {
    return { facts: await discoverCluster(cluster) };
  } catch (error) {
    if (error instanceof CliError || !(error instanceof Error)) throw error;
    return { why: error.message };
  }
}

async function applyAndWait(context: CliContext, options: InstallOptions, signal: AbortSignal): Promise<number> {
  const cluster = await openKubernetes(context, options);
  const { api } = cluster;
  const progress = new Progress(context.host.clock, context.terminal);
  const facts = await factsOf(cluster);
  const settings = settingsFrom(options, facts, undefined);
  progress.say("cluster", describeCluster(cluster, facts, settings));
  await sayChanges(cluster, settings.config, progress);
  const waiter: Waiter = { clock: context.host.clock, progress, api, signal, timeoutMs: options.timeout * 1000 };

  const { crds, gateway, rest, wanted } = await sorted(cluster, installManifests(settings), progress);
  const [namespaces, others] = [rest.filter(isNamespace), rest.filter((object) => !isNamespace(object))];
  await applyInOrder(api, namespaces);
  // Together: definitions take the API server long, and the programs wait for their kinds to be served.
  await Promise.all([...crds.map((crd) => applyObject(api, crd)), applyInOrder(api, others)]);
  await waitForDefinitions(waiter, crds.map(objectPath));
  if (crds.length > 0) progress.say("definitions", `${crds.length} established`);
  const { removed, left } = await prune(api, wanted);
  progress.say("applied", `${crds.length + rest.length + gateway.length} objects`);
  if (removed.length > 0) progress.say("removed", `of the installation before: ${removed.join(", ")}`);
  if (left.length > 0) progress.say("left", `of the installation before, because users' objects may be in it: ${left.join(", ")}`);

  const control = await waitForControl(waiter, false);
  progress.say("control", control);
  await waitForInjector(waiter);
  progress.say("agents", await waitForDaemons(waiter, "agents", AGENT));
  if (settings.config.profile === "full") progress.say("names", await waitForDaemons(waiter, "names", NAMES));
  // With profile mesh another CNI plugin starts pods before the agents are there, and such a pod waits until its agent finds it.
  await applyInOrder(api, gateway);
  progress.say("nodes", await waitForNodes(waiter));
  const all = await waitForControl(waiter, true);
  if (all !== control) progress.say("control", all);
  if (settings.gateway.install)
    progress.say("gateway", `${await waitForGateway(waiter, settings.config.rootNamespace)}${await gatewayAddress(cluster, settings)}`);
  context.terminal.out(
    "\n  next  kubectl label namespace default istio-injection=enabled     pods that start from then on are in the mesh\n        weft status\n",
  );
  return 0;
}

const isNamespace = ({ kind }: Manifest): boolean => kind === "Namespace";

async function applyInOrder(api: ClusterApi, objects: readonly Manifest[]): Promise<void> {
  for (const object of objects) await applyObject(api, object);
}

async function factsOf(cluster: KubernetesCluster): Promise<ClusterFacts> {
  try {
    return await discoverCluster(cluster);
  } catch (error) {
    if (error instanceof HostError)
      throw new CliError(`the API server does not answer: ${error.message}; --wait needs it, without --wait the manifests are printed`);
    throw error;
  }
}

function describeCluster({ access }: KubernetesCluster, { version, nodes }: ClusterFacts, { config }: InstallSettings): string {
  const { profile, podCIDR, serviceCIDR, dnsAddress } = config;
  return `${access.url}, Kubernetes ${version}, ${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}; profile ${profile}, pods ${podCIDR}, services ${serviceCIDR}, DNS ${dnsAddress}`;
}

/** What of the configuration is other than it was. */
async function sayChanges({ api }: KubernetesCluster, config: KubernetesConfig, progress: Progress): Promise<void> {
  const there = await api.find<ConfigMap>(`/api/v1/namespaces/${SYSTEM}/configmaps/${CONFIG_MAP}`);
  const text = there?.data?.[CONFIG_KEY];
  if (there === undefined || text === undefined) return;
  const release = there.metadata.annotations?.["meta.helm.sh/release-name"];
  if (release !== undefined)
    throw new CliError(`Helm's release ${JSON.stringify(release)} installed Weft here; upgrade it with:  helm upgrade ${release} ...`, 1);
  const before = JSON.parse(text) as Partial<KubernetesConfig>;
  const changed = [...new Set([...Object.keys(before), ...Object.keys(config)])].filter((key) => {
    const field = key as keyof KubernetesConfig;
    return before[field] !== config[field];
  }) as readonly (keyof KubernetesConfig)[];
  if (changed.length > 0)
    progress.say("changes", changed.map((field) => `${field} ${String(before[field] ?? "-")} -> ${String(config[field] ?? "-")}`).join(", "));
}

interface Sorted {
  readonly crds: readonly Manifest[];
  /** Its pods: what agents must be there for. */
  readonly gateway: readonly Manifest[];
  readonly rest: readonly Manifest[];
  readonly wanted: readonly Manifest[];
}

async function sorted({ api }: KubernetesCluster, manifests: readonly Manifest[], progress: Progress): Promise<Sorted> {
  const groups = Map.groupBy(manifests, ({ kind, metadata }) =>
    kind === "CustomResourceDefinition"
      ? "crds"
      : kind === "Deployment" && metadata.name === GATEWAY
        ? "gateway"
        : kind === "Namespace" && metadata.name !== SYSTEM
          ? "namespace"
          : "rest",
  );
  const { apply: crds, left } = await chooseCrds(api, groups.get("crds") ?? []);
  if (left.length > 0) progress.say("definitions", `leaves as they are: ${left.join(", ")}`);
  const own: Manifest[] = [];
  for (const namespace of groups.get("namespace") ?? []) {
    // A namespace that was there before Weft must be there after it.
    const there = await api.find<Namespace>(objectPath(namespace));
    if (there === undefined || isOurs(there)) own.push(namespace);
    else progress.say("left", `${describeObject(namespace)}, which was there before`);
  }
  return { crds, gateway: groups.get("gateway") ?? [], rest: [...(groups.get("rest") ?? []), ...own], wanted: manifests };
}

async function gatewayAddress({ api }: KubernetesCluster, { config, gateway }: InstallSettings): Promise<string> {
  if (gateway.serviceType !== "LoadBalancer") return "";
  const service = await api.find<Service>(`/api/v1/namespaces/${config.rootNamespace}/services/${GATEWAY}`);
  const ingress = service?.status?.loadBalancer?.ingress?.[0];
  const address = ingress?.ip ?? ingress?.hostname;
  if (address !== undefined) return `, http://${address}`;
  return config.loadBalancerCIDR === undefined
    ? "; its Service has no address: nobody here gives LoadBalancers theirs (--set loadBalancerCIDR=RANGE lets Weft)"
    : "";
}
