/**
 * Which of a pod's containers a process runs in, without asking anybody: kubelet makes a file for each start of a container
 * (terminationMessagePath) in its own folder and mounts it into that container and no other. proc_pid_mountinfo(5) names it:
 *
 *     1830 1817 259:1 /var/lib/kubelet/pods/UID/containers/istio-proxy/3f2a9c01 /dev/termination-log rw - ext4 /dev/root rw
 *
 * Path and device are the kernel's word on what is mounted. A process that makes a mount namespace of its own can mount only what it
 * can reach: volumes lie in other folders, a file system of its own has another device. Where kubelet's folder is, and on which
 * device, the agent reads from its own mounts, because it was started by the same kubelet.
 */
import type { Files } from "#host/files.ts";

/** undefined: no container's, or mounts that do not agree. */
export type ContainerName = (pid: number, podUid: string) => Promise<string | undefined>;

/** undefined: this process has no such mount, so nothing can be told of others. */
export async function containerNames(files: Pick<Files, "readText">): Promise<ContainerName | undefined> {
  const own = mountsOf(await files.readText("/proc/self/mountinfo")).flatMap(({ device, root }) => {
    const [, folder] = /^(.*)[/]pods[/][^/]+[/]containers[/][^/]+[/][^/]+$/.exec(root) ?? [];
    return folder === undefined ? [] : [{ device, folder }];
  })[0];
  if (own === undefined) return undefined;
  return async (pid, podUid) => {
    const prefix = `${own.folder}/pods/${podUid}/containers/`;
    const names = new Set<string>();
    for (const { device, root } of mountsOf(await files.readText(`/proc/${pid}/mountinfo`))) {
      if (device !== own.device || !root.startsWith(prefix)) continue;
      names.add(root.slice(prefix.length).split("/", 1)[0] ?? "");
    }
    const [name] = names;
    return names.size === 1 ? name : undefined;
  };
}

interface Mount {
  /** "259:1". */
  readonly device: string;
  /** Of what is mounted, in its file system. */
  readonly root: string;
}

function mountsOf(mountinfo: string): readonly Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    const [, , device, root] = line.split(" ");
    return device === undefined || root === undefined ? [] : [{ device, root }];
  });
}
