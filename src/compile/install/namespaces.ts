import type { InstallSettings } from "./settings.ts";
import { own, SYSTEM, VERSION_ANNOTATION, type Manifest } from "./manifest.ts";

export function namespaces({ config, version }: InstallSettings): readonly Manifest[] {
  // Agents are privileged: they wire pods and write rules of the node.
  const privileged = { "pod-security.kubernetes.io/enforce": "privileged", "pod-security.kubernetes.io/warn": "privileged" };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: own(SYSTEM, { labels: privileged, annotations: { [VERSION_ANNOTATION]: version } }) },
    { apiVersion: "v1", kind: "Namespace", metadata: own(config.rootNamespace) },
  ];
}
