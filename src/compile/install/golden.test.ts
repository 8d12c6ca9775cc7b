/**
 * Cases as files:
 *   # profile: full
 *   # show: objects               all of them, by name
 *   # show: rights weft-control   what a role's rules allow, a line each
 *   # show: DaemonSet weft-agent  one object
 */
import assert from "node:assert/strict";
import { goldenCases } from "#compile/test-golden.ts";
import { stringify } from "yaml";
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import { installManifests } from "./install.ts";
import { describeObject, type Manifest } from "./manifest.ts";
import { testSettings } from "./test-settings.ts";

const folder = new URL("testdata/", import.meta.url);

function answer(input: string): string {
  const profile = /^# profile: (.*)$/m.exec(input)?.[1] as KubernetesConfig["profile"];
  const manifests = installManifests(testSettings({ profile }));
  return [...input.matchAll(/^# show: (.*)$/gm)].map(([, wanted = ""]) => `-- ${wanted} --\n${shown(manifests, wanted)}`).join("");
}

function shown(manifests: readonly Manifest[], wanted: string): string {
  if (wanted === "objects") return manifests.map((manifest) => `${describeObject(manifest)}\n`).join("");
  const [kind = "", name = ""] = wanted.split(" ");
  if (kind === "rights") {
    return manifests
      .filter((manifest) => manifest.metadata.name === name && manifest.kind.endsWith("Role"))
      .map((role) => `${describeObject(role)}\n${rights(role)}`)
      .join("");
  }
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name) ?? assert.fail(`no ${wanted}`);
  return stringify(found, { lineWidth: 160, aliasDuplicateObjects: false });
}

function rights({ rules }: Manifest): string {
  return (rules as readonly Readonly<Record<"apiGroups" | "resources" | "verbs" | "resourceNames", readonly string[] | undefined>>[])
    .map(({ apiGroups, resources, verbs, resourceNames }) => {
      const names = resourceNames === undefined ? "" : ` (${resourceNames.join(" ")})`;
      return `  ${verbs?.join(",") ?? ""}: ${apiGroups?.join() === "" ? "core" : (apiGroups?.join() ?? "")} ${resources?.join(" ") ?? ""}${names}\n`;
    })
    .join("");
}

goldenCases("what is installed", folder, answer);
