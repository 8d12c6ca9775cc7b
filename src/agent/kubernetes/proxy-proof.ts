/**
 * Who may have a pod's certificate and configuration: that pod's proxy, by what the kernel says of the process that
 * connected, and by nothing that it says itself.
 *
 * - The socket is in the pod's network namespace, where no process of another pod can be.
 * - Its uid (SO_PEERCRED, as it was when it connected) is the proxy's, which admission gives to no other container.
 * - Its control group is of this pod: a process of an application that runs as root may take any uid, but not another group.
 * - It runs in the container istio-proxy, by what kubelet mounts into it (container-names.ts): known from its first moment, and
 *   without the API. Where that cannot be seen, by the name that the pod's status has for its control group.
 * - Its network namespace is the pod's now: a pid that was given to another process in between is seen.
 */
import type { Host } from "#host/host.ts";
import type { PeerCredentials } from "#host/rpc.ts";
import type { Pod } from "#model/core.ts";
import type { Log } from "#run/log.ts";
import type { ContainerName } from "./container-names.ts";
import { controlGroupOf } from "./control-group.ts";

/** As Istio's; compile/inject gives it to proxies and refuses it to others. */
const PROXY_UID = 1337;
const PROXY_CONTAINER = "istio-proxy";

/** kubelet tells the API which container is which a moment after it has started it. */
const STATUS_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 50;
/** Who asks again and again is not told of again and again. */
const TOLD_EVERY_MS = 60_000;

export interface ProofOptions {
  readonly host: Pick<Host, "files" | "netns" | "clock">;
  readonly log: Log;
  /** Undefined: its mounts cannot tell on this node. */
  readonly containerName: ContainerName | undefined;
  readonly findPod: (key: string) => Pod | undefined;
}

export interface ProvenPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly netns: string;
}

/** A function for `RpcServeOptions.admit`. */
export function proofFor(options: ProofOptions, pod: ProvenPod): (peer: PeerCredentials) => Promise<string | undefined> {
  const { log, host } = options;
  /** The container that came first, before any status told its name: nothing of a pod runs before its native sidecar. */
  const first: { containerId?: string } = {};
  const told = new Map<string, number>();
  return async (peer) => {
    const refusal = await refusalOf(options, pod, peer, first).catch((error: unknown) => `could not be looked at: ${String(error)}`);
    if (refusal === undefined) return undefined;
    const now = host.clock.monotonic();
    if (now - (told.get(refusal) ?? -Infinity) >= TOLD_EVERY_MS) {
      told.set(refusal, now);
      log.warn("refused a process that asked for a pod's identity", {
        object: `Pod ${pod.namespace}/${pod.name}`,
        pid: peer.pid,
        uid: peer.uid,
        reason: refusal,
      });
    }
    return refusal;
  };
}

async function refusalOf(options: ProofOptions, pod: ProvenPod, peer: PeerCredentials, first: { containerId?: string }): Promise<string | undefined> {
  const { host } = options;
  if (peer.uid !== PROXY_UID) return `its uid is ${peer.uid}, not the proxy's ${PROXY_UID}`;
  if (peer.pid <= 0) return "it is in no process namespace that this agent sees (the agent needs hostPID)";
  const group = controlGroupOf(await host.files.readText(`/proc/${peer.pid}/cgroup`));
  if (group === undefined) return "its control group is of no pod";
  if (group.podUid !== pod.uid) return `its control group is of the pod with uid ${group.podUid}`;
  const [own, expected] = [await host.netns.identity(`/proc/${peer.pid}/ns/net`), await host.netns.identity(pod.netns)];
  if (expected === undefined || own !== expected) return "it is in another network namespace";
  const container = await options.containerName?.(peer.pid, pod.uid);
  if (container !== undefined) return container === PROXY_CONTAINER ? undefined : `it runs in container ${container}`;
  return isProxyContainer(options, pod, group.containerId, first);
}

/** By the API's word. */
async function isProxyContainer(
  { host, findPod, containerName }: ProofOptions,
  { namespace, name, uid }: ProvenPod,
  containerId: string,
  first: { containerId?: string },
): Promise<string | undefined> {
  const until = host.clock.monotonic() + STATUS_WITHIN_MS;
  for (;;) {
    const pod = findPod(`${namespace}/${name}`);
    if (pod?.metadata.uid !== uid) return "its pod is gone";
    const known = namesOf(pod);
    const is = known.get(containerId);
    if (is !== undefined) return is === PROXY_CONTAINER ? undefined : `it runs in container ${is}`;
    const proxy = [...known].find(([, each]) => each === PROXY_CONTAINER)?.[0];
    // Where mounts tell, a process without them is no proxy that kubelet has just started.
    if (containerName === undefined && proxy === undefined && (first.containerId ??= containerId) === containerId) return undefined;
    if (host.clock.monotonic() > until) return "it runs in a container that the pod's status does not name istio-proxy";
    await host.clock.sleep(LOOK_EVERY_MS);
  }
}

/** Names of containers by id ("containerd://0123..."). */
function namesOf({ status }: Pod): Map<string, string> {
  const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  return new Map(
    all.flatMap(({ name, containerID }): [string, string][] => (containerID === undefined ? [] : [[containerID.replace(/^[^:]*:\/\//, ""), name]])),
  );
}
