import { stringify } from "yaml";
import type { Manifest } from "./manifest.ts";

/** One document an object, as `kubectl apply -f -` reads them. */
export function manifestsYaml(manifests: readonly Manifest[]): string {
  return manifests.map((manifest) => `---\n${stringify(manifest, { aliasDuplicateObjects: false, lineWidth: 0 })}`).join("");
}
