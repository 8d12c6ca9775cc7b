/** ConfigMap weft-config, and the hash by which pods are started anew when it changes. */
import { createHash } from "node:crypto";
import { CONFIG_KEY, CONFIG_MAP, type KubernetesConfig } from "#model/kubernetes-config.ts";
import { INVENTORY_ANNOTATION, installKinds, own, SYSTEM, VERSION_ANNOTATION, type Manifest } from "./manifest.ts";
import type { InstallSettings } from "./settings.ts";

/** Fields in the order of their names, two blanks deep: as Helm's toPrettyJson writes them, so that both make one hash. */
export function configText(config: KubernetesConfig): string {
  return JSON.stringify(Object.fromEntries(Object.entries(config).toSorted(([a], [b]) => (a < b ? -1 : 1))), undefined, 2);
}

export function configHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function configMap({ version }: InstallSettings, text: string): Manifest {
  const inventory = installKinds.map(({ apiVersion, plural, namespaced }) => `${namespaced ? "" : "cluster "}${apiVersion} ${plural}`).join(", ");
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: own(CONFIG_MAP, { namespace: SYSTEM, annotations: { [VERSION_ANNOTATION]: version, [INVENTORY_ANNOTATION]: inventory } }),
    data: { [CONFIG_KEY]: text },
  };
}
