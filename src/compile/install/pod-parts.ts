/** What the pods of Weft's programs have in common. */
import { SMALL_HEAP_OPTIONS } from "#model/config.ts";
import { CONFIG_MAP } from "#model/kubernetes-config.ts";

export const CONFIG_FOLDER = "/etc/weft";
export const configVolume = { name: "config", configMap: { name: CONFIG_MAP } } as const;
export const configMount = { name: "config", mountPath: CONFIG_FOLDER, readOnly: true } as const;

const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

export const whoAmI = [
  field("NODE_NAME", "spec.nodeName"),
  field("NODE_IP", "status.hostIP"),
  field("POD_NAME", "metadata.name"),
  field("POD_NAMESPACE", "metadata.namespace"),
] as const;

/** What a pod is that does nothing with its node: all but the agents. A user is added to it. */
export const unprivileged = {
  pod: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
  container: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
} as const;

/** By the environment, because the image's command is one for all. */
export const smallHeap = { name: "NODE_OPTIONS", value: SMALL_HEAP_OPTIONS.join(" ") } as const;

export function httpProbe(
  path: string,
  port: number,
  more: { readonly periodSeconds: number; readonly failureThreshold: number; readonly timeoutSeconds?: number },
) {
  return { httpGet: { path, port }, timeoutSeconds: 3, ...more };
}
