/**
 * The agent as a pod of a DaemonSet (hostNetwork, hostPID, privileged). Its node is told by the pod's environment, the
 * cluster by ConfigMap weft-config, the rest is found on the node. State is in /run/weft, which dies with the machine.
 *
 * A node takes pods from the moment when its CNI configuration is there. That is written when the first plan is in force;
 * what an agent before the last start of the machine left is taken away first. Pods that start meanwhile fail in the
 * plugin, and the runtime tries again.
 */
import { DEFAULT_SETTINGS, NAMES_PORT, type NodeSettings } from "#compile/node/settings.ts";
import { connectApi } from "#client/client.ts";
import { inClusterAccess, type ApiAccess } from "#client/kubeconfig.ts";
import type { Host } from "#host/host.ts";
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { startNodeAgent, type NodeAgentOptions } from "#agent/node-agent.ts";
import { containerNames } from "./container-names.ts";
import { controlPlane } from "./control-plane.ts";
import { FULL_CONFIG, keepChained, writeFullConfig } from "./network-config.ts";
import { installPlugin, removeOldParts } from "./plugin-files.ts";
import { findSandbox } from "./pod-sandbox.ts";
import { proofFor } from "./proxy-proof.ts";
import { PATHS, type NodePaths } from "./node-paths.ts";
import { findUnderlay } from "./underlay.ts";
import { runUninstall } from "./uninstall.ts";

export interface KubernetesAgentConfig {
  readonly config: KubernetesConfig;
  /** NODE_NAME. */
  readonly node: string;
  /** NODE_IP. */
  readonly address: string;
  /** How to reach the API; default: as the pod's own service account at config.apiServer. */
  readonly access?: ApiAccess;
  readonly paths?: Partial<NodePaths>;
}

/** The contract with the proxy: weft sidecar connects to it. */
const PROXY_SOCKET = "@weft/xds";
const PAGES_PORT = 10252;
/** In the state's folder, and all of it that weft-names sees (compile/install/names.ts). */
const NAMES_FOLDER = "names";

export async function runOnKubernetes(host: Host, given: KubernetesAgentConfig, log: Log): Promise<Running> {
  const { config, node, address } = given;
  const paths = { ...PATHS, ...given.paths };
  const pages = { ip: address, port: PAGES_PORT };
  if (config.phase === "uninstall") return runUninstall(host, { paths, dnsAddress: config.dnsAddress, pages, profile: config.profile }, log);

  const parts = new Parts({ clock: host.clock, log });
  await host.files.makeDirectory(`${paths.state}/${NAMES_FOLDER}`);
  // kubelet may have made them for weft-names, which is another user and sees the inner one only.
  await host.files.chmod(paths.state, 0o700);
  await host.files.chmod(`${paths.state}/${NAMES_FOLDER}`, 0o755);
  await forgetFormerLife(host, paths);
  const plugin = { source: paths.pluginSource, target: paths.plugins };
  await installPlugin(host.files, plugin);

  const access = given.access ?? (await inClusterAccess(host, { url: config.apiServer }));
  const api = connectApi({ host, ...access, userAgent: "weft-agent" });
  const plane = controlPlane({ host, api, config, log, tokenFile: paths.controlToken });
  parts.closing("mesh root", () => plane.close());
  const containerName = await containerNames(host.files);
  if (containerName === undefined)
    log.warn("this agent has no file of kubelet's, so a container's name is what the API says: proxies that start anew need an API server");
  const networkConfig = { host, log, folder: paths.networkConfigs, socket: `${paths.state}/cni.sock` };
  const options: NodeAgentOptions = {
    node,
    settings: await settingsOf(host, config, address),
    profile: config.profile,
    folder: paths.state,
    api,
    ...(config.profile === "full" ? {} : { only: onlyOwn(node, config) }),
    control: (world) => plane.channel(world),
    async socketOf(record) {
      return { path: PROXY_SOCKET, netns: record.netns, admit: proofFor({ host, log, containerName, findPod: (key) => agent.findPod(key) }, record) };
    },
    // Names are answered by weft-names, which stays when this program goes.
    zoneFile: `${paths.state}/${NAMES_FOLDER}/zone.json`,
    pages: { address: pages, readers: config.profile === "full" ? "api-servers" : "anyone" },
    ...(config.profile === "full" ? {} : { sandboxOf: (uid: string) => findSandbox(host, uid) }),
    netnsPath: (path) => path.replace(/^\/var\/run\//, "/run/"),
    async networkIsUp() {
      if (config.profile === "full") await writeFullConfig(networkConfig);
      else {
        const chained = await keepChained(networkConfig);
        parts.closing("chained", () => chained.close());
      }
      await host.files.writeAtomic(`${paths.state}/${MARK}`, "");
      await removeOldParts(host.files, plugin);
    },
  };
  const agent = parts.add("node", await startNodeAgent(host, options, log));
  return parts;
}

/** In the state's folder: this machine has had a network since it started. */
const MARK = "network-was-up";

/** Of profile mesh it stays: pods must not start past the mesh. */
async function forgetFormerLife({ files }: Pick<Host, "files">, { state, networkConfigs }: NodePaths): Promise<void> {
  if ((await files.stat(`${state}/${MARK}`)) === undefined) await files.remove(`${networkConfigs}/${FULL_CONFIG}`);
}

async function settingsOf(host: Pick<Host, "netlink">, config: KubernetesConfig, address: string): Promise<NodeSettings> {
  const { podCIDR, serviceCIDR, loadBalancerCIDR, dnsAddress, clusterDomain, vni, profile } = config;
  const { device, mtu } = await findUnderlay(host, address);
  const { loadBalancerCIDR: _, ...defaults } = DEFAULT_SETTINGS;
  return {
    ...defaults,
    ...(loadBalancerCIDR === undefined ? {} : { loadBalancerCIDR }),
    podCIDR,
    serviceCIDR,
    dnsAddress,
    clusterDomain,
    vni,
    device,
    underlayMtu: mtu,
    proxyKnownBy: "uid",
    ...(profile === "full" ? { namesPort: NAMES_PORT } : {}),
  };
}

/** Profile mesh needs to know its node's pods, and where the control plane is. */
function onlyOwn(node: string, { systemNamespace }: KubernetesConfig): NonNullable<NodeAgentOptions["only"]> {
  return {
    Pod: { fieldSelector: `spec.nodeName=${node}` },
    Service: { namespace: systemNamespace },
    EndpointSlice: { namespace: systemNamespace },
  };
}
