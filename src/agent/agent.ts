/**
 * The agent of a node, in both worlds: `start` in the embedded cluster, where certificates and addresses come from the
 * supervisor's folders, `startOnKubernetes` as a pod of a DaemonSet. What it does is node-agent.ts; here is what differs.
 *
 * It runs in its node's network namespace. What it makes outlives it: a new agent adopts links, addresses and rules, and
 * no connection notices. Without the API server it goes on with what it knows; names come from a copy on disk until then.
 */
import { DEFAULT_SETTINGS, type NodeSettings } from "#compile/node/settings.ts";
import { connectApi } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { Log } from "#run/log.ts";
import type { Running } from "#run/program.ts";
import { runOnKubernetes, type KubernetesAgentConfig } from "./kubernetes/kubernetes-node.ts";
import { startNodeAgent } from "./node-agent.ts";

export interface AgentConfig {
  readonly runtime: RuntimeConfig;
  readonly node: string;
}

const DNS_PORT = 53;
const PAGES_PORT = 10252;

export function startOnKubernetes(host: Host, config: KubernetesAgentConfig, log: Log): Promise<Running> {
  return runOnKubernetes(host, config, log);
}

export async function start(host: Host, { runtime, node }: AgentConfig, log: Log): Promise<Running> {
  const own = runtime.nodes.find(({ name }) => name === node);
  if (own === undefined) throw new Error(`there is no node ${node} in the cluster's configuration`);
  const folder = `${runtime.runDir}/nodes/${node}`;
  const tls = await readCertificate(host, `${runtime.runDir}/pki/${node}`);
  const { certificate, privateKey, ca } = tls;
  const options = {
    node,
    settings: settingsOf(runtime),
    profile: "full" as const,
    folder,
    api: connectApi({ host, url: runtime.apiUrl, tls, userAgent: "weft-agent" }),
    control: () => host.rpc.connect({ address: streamAddress(runtime.xdsAddress), tls }),
    // A file in the folder that the pod runtime gives to this pod's proxy and to nobody else.
    async socketOf({ uid }: { readonly uid: string }) {
      await host.files.makeDirectory(`${folder}/pods/${uid}`);
      return { path: `${folder}/pods/${uid}/xds.sock` };
    },
    zoneFile: `${folder}/zone.json`,
    names: () => [{ ip: runtime.controlAddress, port: DNS_PORT }],
    pages: { address: { ip: own.address, port: PAGES_PORT }, tls: { certificate, privateKey, clientCa: ca }, readers: "certificates" as const },
  };
  return startNodeAgent(host, options, log);
}

function settingsOf(runtime: RuntimeConfig): NodeSettings {
  const { podCIDR, serviceCIDR, loadBalancerCIDR, dnsAddress, vni } = runtime;
  return { ...DEFAULT_SETTINGS, podCIDR, serviceCIDR, loadBalancerCIDR, dnsAddress, vni };
}

async function readCertificate(
  host: Pick<Host, "files">,
  folder: string,
): Promise<{ readonly certificate: string; readonly privateKey: string; readonly ca: string }> {
  return {
    certificate: await host.files.readText(`${folder}/tls.crt`),
    privateKey: await host.files.readText(`${folder}/tls.key`),
    ca: await host.files.readText(`${folder}/ca.crt`),
  };
}

/** "192.168.99.1:15012". */
function streamAddress(text: string): { readonly ip: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  return { ip: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}
