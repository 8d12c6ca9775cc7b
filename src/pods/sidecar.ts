/**
 * A pod's proxy: the container `istio-proxy`. It runs outside of the pod's sandbox (what is in the sandbox is what it
 * guards against), in the pod's network namespace, with CAP_NET_ADMIN only (its own sockets carry the mark that
 * interception lets through). Its command is always ours, never the Pod's. Pure.
 */
import { proxyBootstrap } from "#compile/inject/proxy-bootstrap.ts";
import { proxyKindOf } from "#compile/inject/proxy-kind.ts";
import type { Pod } from "#model/core.ts";

export const sidecarName = "istio-proxy";

/** By which rules in the pod know what its own proxy sends. */
const proxyMark = 0x539;

/** `socket`: the agent's for exactly this pod. */
export function sidecarBootstrap(pod: Pod, podIP: string, socket: string): unknown {
  const { name, namespace = "default", labels = {} } = pod.metadata;
  const serviceAccount = pod.spec.serviceAccountName ?? "default";
  return proxyBootstrap({ kind: proxyKindOf(pod) ?? "sidecar", name, namespace, podIP, labels, serviceAccount }, { socket, mark: proxyMark });
}

export interface SidecarProcess {
  readonly netns: string;
  /** On the host, when root runs the cluster: the proxy is not root either. */
  readonly hostUid: number | undefined;
  readonly command: readonly string[];
}

export function sidecarCommand({ netns, hostUid, command }: SidecarProcess): [string, ...string[]] {
  const ids = hostUid === undefined ? [] : [`--reuid=${hostUid}`, `--regid=${hostUid}`, "--clear-groups"];
  const only = "-all,+net_admin";
  return [
    "nsenter",
    `--net=${netns}`,
    "--",
    "setpriv",
    ...ids,
    `--inh-caps=${only}`,
    `--ambient-caps=${only}`,
    `--bounding-set=${only}`,
    "--no-new-privs",
    "--",
    ...command,
  ];
}
