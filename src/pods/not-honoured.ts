/**
 * What a Pod asks for and does not get although it runs, each with what happens instead. What a pod cannot run without is
 * refused before it starts (pod-rules.ts, volumes.ts). Pure.
 */
import type { Pod } from "#model/core.ts";
import type { Container, Volume } from "#model/pod-parts.ts";
import { sidecarName } from "./sidecar.ts";

export interface NotHonoured {
  /** "spec.containers[app].resources.limits". */
  readonly field: string;
  readonly message: string;
}

export function notHonoured(pod: Pod): readonly NotHonoured[] {
  const { spec } = pod;
  const found: NotHonoured[] = [];
  const note = (field: string, asked: unknown, message: string): void => {
    if (isAsked(asked)) found.push({ field, message });
  };
  const { securityContext = {}, affinity = {} } = spec;
  note("spec.securityContext.supplementalGroups", securityContext.supplementalGroups, "processes have their own group only");
  note("spec.securityContext.sysctls", securityContext.sysctls, "they are left as they are");
  confinement("spec.securityContext", securityContext, note);
  note("spec.runtimeClassName", spec.runtimeClassName, "there is one runtime");
  note("spec.setHostnameAsFQDN", spec.setHostnameAsFQDN, "the host name is the short one");
  note("spec.hostnameOverride", spec.hostnameOverride, "the host name is spec.hostname, or the pod's name");
  note("spec.resourceClaims", spec.resourceClaims, "there are no devices");
  note("spec.ephemeralContainers", spec.ephemeralContainers, "they are not started; use kubectl exec");
  note("spec.affinity.podAffinity", affinity.podAffinity, "it is not considered when a node is chosen");
  note("spec.affinity.podAntiAffinity", affinity.podAntiAffinity, "it is not considered when a node is chosen");
  note("spec.topologySpreadConstraints", spec.topologySpreadConstraints, "they are not considered when a node is chosen");
  for (const volume of spec.volumes ?? []) volumeNotes(volume, note);
  for (const container of spec.initContainers ?? []) containerNotes(`spec.initContainers[${container.name}]`, container, note);
  for (const container of spec.containers) containerNotes(`spec.containers[${container.name}]`, container, note);
  return found;
}

/** As one text for people, at most as long as an event takes. */
export function notHonouredText(found: readonly NotHonoured[]): string {
  return found.map(({ field, message }) => `${field}: ${message}`).join("; ");
}

type Note = (field: string, asked: unknown, message: string) => void;

function containerNotes(path: string, container: Container, note: Note): void {
  // The proxy is the mesh's own: what its container says is upstream's template, and its process is ours (sidecar.ts).
  if (container.name === sidecarName) return;
  note(`${path}.resources.limits`, container.resources?.limits, "limits are not enforced");
  note(`${path}.volumeDevices`, container.volumeDevices, "there are no block devices");
  note(`${path}.restartPolicyRules`, container.restartPolicyRules, "the pod's restartPolicy counts");
  note(`${path}.stdin`, container.stdin, "its input is empty; use kubectl exec -i");
  note(`${path}.tty`, container.tty, "it has no terminal; use kubectl exec -t");
  const own = container.securityContext ?? {};
  const added = (own.capabilities?.add ?? []).filter((name) => name !== "NET_BIND_SERVICE");
  note(`${path}.securityContext.capabilities.add`, added, `it runs without ${added.join(", ")}: no process of a pod gets capabilities`);
  note(`${path}.securityContext.procMount`, own.procMount === "Unmasked", "/proc is the sandbox's");
  confinement(`${path}.securityContext`, own, note);
  for (const [i, mount] of (container.volumeMounts ?? []).entries())
    note(`${path}.volumeMounts[${i}].mountPropagation`, (mount.mountPropagation ?? "None") !== "None", "mounts are not propagated");
}

interface Confinement {
  readonly seLinuxOptions?: object | undefined;
  readonly seccompProfile?: { readonly type: string } | undefined;
  readonly appArmorProfile?: { readonly type: string } | undefined;
}

/** RuntimeDefault is what every container gets. */
function confinement(path: string, asked: Confinement, note: Note): void {
  const other = (profile: { readonly type: string } | undefined): boolean => (profile?.type ?? "RuntimeDefault") !== "RuntimeDefault";
  note(`${path}.seccompProfile`, other(asked.seccompProfile), "every container has the runtime's own filter");
  note(`${path}.appArmorProfile`, other(asked.appArmorProfile), "AppArmor is not used");
  note(`${path}.seLinuxOptions`, asked.seLinuxOptions, "SELinux is not used");
}

function volumeNotes(volume: Volume, note: Note): void {
  const path = `spec.volumes[${volume.name}]`;
  note(`${path}.emptyDir.sizeLimit`, volume.emptyDir?.sizeLimit, "its size is not limited");
  const tokens = (volume.projected?.sources ?? []).some((source) => source?.serviceAccountToken !== undefined);
  note(
    `${path}.projected.sources.serviceAccountToken`,
    tokens && !volume.name.startsWith("kube-api-access"),
    "no token is written: the API knows client certificates only",
  );
}

function isAsked(value: unknown): boolean {
  if (value === undefined || value === false || value === 0 || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== "object" || value === null || Object.keys(value).length > 0;
}
