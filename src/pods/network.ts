/**
 * A pod's network namespace and its wiring by CNI plugins, called as the specification says (1.1.0): configuration on
 * stdin, parameters in CNI_* variables, the result on stdout. Weft's own plugin is a Node program; any other is looked
 * up in /opt/cni/bin.
 */
import type { Host } from "#host/host.ts";
import { programFile } from "#model/config.ts";
import { nodeFolder, type PodsSettings } from "./settings.ts";

export type NetworkHost = Pick<Host, "files" | "netns" | "processes">;

export interface PodNetwork {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly netns: string;
}

interface ConfList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly ({ readonly type: string } & Record<string, unknown>)[];
}

export interface AddedNetwork {
  readonly podIP: string;
  readonly result: unknown;
}

const cniVersion = "1.1.0";
const foreignPlugins = "/opt/cni/bin";
// The plugin waits for the agent, and the agent may be restarting (2 s).
const pluginTimeoutMs = 30_000;

export async function makeNetwork(host: NetworkHost, settings: PodsSettings, pod: PodNetwork): Promise<AddedNetwork> {
  if (!(await host.netns.exists(pod.netns))) await host.netns.create(pod.netns);
  // Without capabilities nobody in there could bind port 80 otherwise.
  await host.netns.sysctl(pod.netns, "net.ipv4.ip_unprivileged_port_start", "0");
  const list = await readConfList(host, settings);
  let result: unknown;
  for (const plugin of list.plugins) {
    const config = { ...plugin, cniVersion, name: list.name, ...(result === undefined ? {} : { prevResult: result }) };
    result = JSON.parse(await callPlugin(host, settings, { command: "ADD", pod, type: plugin.type, config }));
  }
  const podIP = addressOf(result);
  if (podIP === undefined) throw new Error(`CNI network "${list.name}": the result of ADD has no address (ips[0].address): ${JSON.stringify(result)}`);
  return { podIP, result };
}

/** DEL of what is already gone succeeds, so this can be repeated. */
export async function removeNetwork(host: NetworkHost, settings: PodsSettings, pod: PodNetwork, result: unknown): Promise<void> {
  const list = await readConfList(host, settings);
  for (const plugin of list.plugins.toReversed()) {
    const config = { ...plugin, cniVersion, name: list.name, ...(result === undefined || result === null ? {} : { prevResult: result }) };
    await callPlugin(host, settings, { command: "DEL", pod, type: plugin.type, config });
  }
  if (await host.netns.exists(pod.netns)) await host.netns.remove(pod.netns);
}

interface PluginCall {
  readonly command: "ADD" | "DEL";
  readonly pod: PodNetwork;
  readonly type: string;
  readonly config: unknown;
}

async function callPlugin(host: NetworkHost, settings: PodsSettings, call: PluginCall): Promise<string> {
  const { pod, type, command } = call;
  const program: [string, ...string[]] = type === "weft-cni" ? [settings.nodeBinary, programFile(settings.programs, "cni")] : [`${foreignPlugins}/${type}`];
  const answer = await host.processes.run(program, {
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      NODE_COMPILE_CACHE: `${settings.stateFolder}/compile-cache`,
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.uid,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: foreignPlugins,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.uid};K8S_POD_UID=${pod.uid}`,
    },
    stdin: JSON.stringify(call.config),
    timeoutMs: pluginTimeoutMs,
  });
  if (answer.code === 0) return answer.stdout;
  throw new Error(`CNI plugin ${type} ${command}: ${pluginMessage(answer.stdout) ?? (answer.stderr.trim() || `ended with status ${answer.code}`)}`);
}

/** Plugins report failures as JSON on stdout: {code, msg, details}. */
function pluginMessage(stdout: string): string | undefined {
  try {
    const { msg, details } = JSON.parse(stdout) as { msg?: string; details?: string };
    return msg === undefined ? undefined : details === undefined || details === "" ? msg : `${msg}; ${details}`;
  } catch {
    return undefined;
  }
}

async function readConfList(host: NetworkHost, settings: PodsSettings): Promise<ConfList> {
  const folder = `${nodeFolder(settings)}/net.d`;
  const names = (await host.files.stat(folder)) === undefined ? [] : await host.files.list(folder);
  const name = names.find((each) => each.endsWith(".conflist"));
  if (name !== undefined) return JSON.parse(await host.files.readText(`${folder}/${name}`)) as ConfList;
  return { cniVersion, name: "weft", plugins: [{ type: "weft-cni", socket: `${nodeFolder(settings)}/cni.sock` }] };
}

function addressOf(result: unknown): string | undefined {
  const ips = (result as { ips?: { address?: string }[] } | undefined)?.ips;
  return ips?.[0]?.address?.split("/")[0];
}
