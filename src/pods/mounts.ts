/** A container's volumeMounts as binds of folders that the runtime made. Pure. */
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import { expand, type ConfigProblem, type Environment } from "./environment.ts";
import { cleanPath, mountPathProblem, type SandboxMount } from "./sandbox/file-system.ts";
import { serviceAccountPath, serviceAccountVolume } from "./volumes.ts";

export type MountPlan = readonly SandboxMount[] | ConfigProblem;

export function volumeMounts(pod: Pod, container: Container, volumesFolder: string, env: Environment): MountPlan {
  const mounts: SandboxMount[] = [];
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const where = `containers[${container.name}].volumeMounts[${index}]`;
    const volume = pod.spec.volumes?.find((each) => each.name === mount.name);
    if (volume === undefined) return problem(`${where}: volume "${mount.name}" is not among spec.volumes`);
    const pathProblem = mountPathProblem(mount.mountPath);
    if (pathProblem !== undefined) return problem(`${where}: ${pathProblem}`);
    const written = volume.emptyDir !== undefined;
    const subPath = mount.subPathExpr === undefined ? (mount.subPath ?? "") : expand(mount.subPathExpr, env);
    // Whoever can write the volume could put a link where the path is resolved, which happens outside of the sandbox.
    if (subPath !== "" && written)
      return problem(`${where}.subPath is supported for configMap, secret, projected and downwardAPI volumes, not for emptyDir "${mount.name}"`);
    if (subPath.startsWith("/") || subPath.split("/").includes(".."))
      return problem(`${where}.subPath ${JSON.stringify(subPath)} must be relative and must not contain ".."`);
    const source = `${volumesFolder}/${mount.name}${subPath === "" ? "" : cleanPath(subPath)}`;
    mounts.push({ source, path: realPath(mount.mountPath), readOnly: !written || mount.readOnly === true });
  }
  if (wantsServiceAccount(pod) && !mounts.some((mount) => mount.path === realPath(serviceAccountPath))) {
    mounts.push({ source: `${volumesFolder}/${serviceAccountVolume.name}`, path: realPath(serviceAccountPath), readOnly: true });
  }
  return mounts;
}

export function wantsServiceAccount(pod: Pod): boolean {
  return pod.spec.automountServiceAccountToken !== false;
}

/** /var/run is a link to /run in the sandbox, as on every machine. */
function realPath(path: string): string {
  const clean = cleanPath(path);
  return clean === "/var/run" || clean.startsWith("/var/run/") ? clean.slice("/var".length) : clean;
}

function problem(message: string): ConfigProblem {
  return { reason: "CreateContainerConfigError", message };
}
