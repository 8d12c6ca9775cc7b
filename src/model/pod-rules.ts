/** What Kubernetes demands of pods and pod templates beyond the shape of their fields. */
import { structurallyEqual } from "#lib/equal.ts";
import type { Pod, PodSpec } from "./core.ts";
import { containerProblems, fieldPathBreach } from "./container-rules.ts";
import { labelBreach, subdomainBreach } from "./names.ts";
import { at, duplicate, forbidden, invalid, required, type Problem } from "./problem.ts";
import type { Container, Volume } from "./pod-parts.ts";

export function podRules(pod: Pod, old: Pod | undefined): readonly Problem[] {
  return [...podSpecProblems(pod.spec, "spec"), ...(old === undefined ? [] : updateProblems(pod.spec, old.spec))];
}

export function podSpecProblems(spec: PodSpec, path: string): Problem[] {
  const problems: Problem[] = [];
  const volumes = new Set<string>();
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    const where = at(`${path}.volumes`, index);
    const breach = (volume.name ?? "") === "" ? undefined : labelBreach(volume.name);
    if (breach !== undefined) problems.push(invalid(`${where}.name`, volume.name, breach));
    volumes.add(volume.name);
    problems.push(...volumeSourceProblems(volume, where));
  }
  const names = new Set<string>();
  for (const field of ["initContainers", "containers"] as const) {
    for (const [index, container] of (spec[field] ?? []).entries()) {
      const where = at(`${path}.${field}`, index);
      if (container.name !== undefined && names.has(container.name)) problems.push(duplicate(`${where}.name`, container.name));
      names.add(container.name);
      problems.push(...containerProblems(container, where, volumes));
    }
  }
  const grace = spec.terminationGracePeriodSeconds ?? 0;
  if (grace < 0) problems.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than or equal to 0"));
  for (const field of ["nodeName", "serviceAccountName"] as const) {
    const name = spec[field] ?? "";
    const breach = name === "" ? undefined : subdomainBreach(name);
    if (breach !== undefined) problems.push(invalid(`${path}.${field}`, name, breach));
  }
  for (const field of ["hostname", "subdomain"] as const) {
    const breach = spec[field] === undefined || spec[field] === "" ? undefined : labelBreach(spec[field]);
    if (breach !== undefined) problems.push(invalid(`${path}.${field}`, spec[field], breach));
  }
  return problems;
}

function volumeSourceProblems(volume: Volume, path: string): Problem[] {
  const sources = Object.keys(volume).filter((field) => field !== "name");
  if (sources.length === 0) return [required(path, "must specify a volume type")];
  const { configMap, secret } = volume;
  const problems = sources.slice(1).map((field) => forbidden(`${path}.${field}`, "may not specify more than 1 volume type"));
  if (configMap !== undefined && (configMap.name ?? "") === "") problems.push(required(`${path}.configMap.name`));
  if (secret !== undefined && (secret.secretName ?? "") === "") problems.push(required(`${path}.secret.secretName`));
  problems.push(...fileProblems(configMap?.items, `${path}.configMap.items`), ...fileProblems(secret?.items, `${path}.secret.items`));
  problems.push(...downwardProblems(volume.downwardAPI?.items, `${path}.downwardAPI.items`));
  for (const [index, source] of (volume.projected?.sources ?? []).entries()) {
    const where = `${path}.projected.sources[${index}]`;
    if (source.configMap !== undefined && (source.configMap.name ?? "") === "") problems.push(required(`${where}.configMap.name`));
    if (source.secret !== undefined && (source.secret.name ?? "") === "") problems.push(required(`${where}.secret.name`));
    problems.push(...fileProblems(source.configMap?.items, `${where}.configMap.items`), ...fileProblems(source.secret?.items, `${where}.secret.items`));
    problems.push(...downwardProblems(source.downwardAPI?.items, `${where}.downwardAPI.items`));
  }
  return problems;
}

interface File {
  readonly path?: string;
  readonly mode?: number;
}

/** Files of a volume stay inside it. */
function fileProblems(files: readonly File[] | undefined, path: string): Problem[] {
  return (files ?? []).flatMap(({ path: file = "", mode }, index) => {
    const where = `${path}[${index}]`;
    const problems: Problem[] = [];
    if (file.startsWith("/")) problems.push(invalid(`${where}.path`, file, "must be a relative path"));
    else if (file.split("/").includes("..")) problems.push(invalid(`${where}.path`, file, "must not contain '..'"));
    else if (file.startsWith("..")) problems.push(invalid(`${where}.path`, file, "must not start with '..'"));
    if (mode !== undefined && (mode < 0 || mode > 0o777))
      problems.push(invalid(`${where}.mode`, mode, "must be a number between 0 and 0777 (octal), both inclusive"));
    return problems;
  });
}

function downwardProblems(files: readonly (File & { readonly fieldRef?: { readonly fieldPath: string } })[] | undefined, path: string): Problem[] {
  const problems = fileProblems(files, path);
  for (const [index, { fieldRef }] of (files ?? []).entries()) {
    const breach = fieldRef?.fieldPath === undefined ? undefined : fieldPathBreach(fieldRef.fieldPath, "volume");
    if (breach !== undefined) problems.push(invalid(`${path}[${index}].fieldRef.fieldPath`, fieldRef?.fieldPath, breach));
  }
  return problems;
}

/** A pod is what it was made as; only these may change. */
function updateProblems(spec: PodSpec, old: PodSpec): Problem[] {
  if (structurallyEqual(withoutMutable(spec), withoutMutable(old))) return [];
  return [
    forbidden(
      "spec",
      "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
        "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    ),
  ];
}

function withoutMutable(spec: PodSpec): unknown {
  const { activeDeadlineSeconds: _deadline, tolerations: _tolerations, ephemeralContainers: _ephemeral, ...rest } = spec;
  const plain = (containers: readonly Container[] | undefined) => (containers ?? []).map(({ image: _image, ...container }) => container);
  return { ...rest, containers: plain(spec.containers), initContainers: plain(spec.initContainers) };
}
