import { stringify } from "yaml";
import type { Manifest } from "./manifest.ts";

/** One document an object, as `kubectl apply -f -` reads them. */
export function manifestsYaml(manifests: readonly Manifest[]): string {
  return manifests.map((manifest) => `---\n${stringify(manifest, { aliasDuplicateObjects: hasVersions(manifest), lineWidth: 0 })}`).join("");
}

/** A definition's versions have one schema, which is written once; elsewhere aliases would only hide what is there. */
function hasVersions({ kind }: Manifest): boolean {
  return kind === "CustomResourceDefinition";
}
