/**
 * Which pod and container a process is of, from /proc/PID/cgroup (cgroups(7)). Paths that kubelet and runtimes make, with
 * either driver of control groups, in either version of them:
 *
 *     0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b_2c.slice/cri-containerd-0123.scope
 *     4:memory:/kubepods/burstable/pod0a1b-2c/0123
 */
export interface ControlGroup {
  readonly podUid: string;
  readonly containerId: string;
}

/** The first pod of the path: what a container makes below its own group says nothing. */
const PATH = /[/-]pod([0-9a-f]+(?:[-_][0-9a-f]+)*)(?:[.]slice)?[/](?:[a-z-]+-)?([0-9a-f]{64})(?:[.]scope)?(?:[/]|$)/;

/** undefined: of no pod, or its hierarchies do not agree. */
export function controlGroupOf(text: string): ControlGroup | undefined {
  let found: ControlGroup | undefined;
  for (const line of text.split("\n")) {
    const match = PATH.exec(line.slice(line.indexOf("/")));
    if (match === null) continue;
    const group = { podUid: (match[1] ?? "").replaceAll("_", "-"), containerId: match[2] ?? "" };
    if (found !== undefined && (found.podUid !== group.podUid || found.containerId !== group.containerId)) return undefined;
    found = group;
  }
  return found;
}
