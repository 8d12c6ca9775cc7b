/** What Kubernetes demands of pods and pod templates beyond the shape of their fields. */
import { structurallyEqual } from "#lib/equal.ts";
import type { Pod, PodSpec } from "./core.ts";
import { labelBreach, portNameBreach } from "./names.ts";
import { at, duplicate, forbidden, invalid, notFound, required, type Problem } from "./problem.ts";
import type { Container, Probe, Volume } from "./pod-parts.ts";

export function podRules(pod: Pod, old: Pod | undefined): readonly Problem[] {
  return [...podSpecProblems(pod.spec, "spec"), ...(old === undefined ? [] : updateProblems(pod.spec, old.spec))];
}

export function podSpecProblems(spec: PodSpec, path: string): Problem[] {
  const problems: Problem[] = [];
  const volumes = new Set<string>();
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    const where = at(`${path}.volumes`, index);
    const breach = labelBreach(volume.name);
    if (breach !== undefined) problems.push(invalid(`${where}.name`, volume.name, breach));
    volumes.add(volume.name);
    problems.push(...volumeSourceProblems(volume, where));
  }
  const names = new Set<string>();
  for (const field of ["initContainers", "containers"] as const) {
    for (const [index, container] of (spec[field] ?? []).entries()) {
      const where = at(`${path}.${field}`, index);
      if (names.has(container.name)) problems.push(duplicate(`${where}.name`, container.name));
      names.add(container.name);
      problems.push(...containerProblems(container, where, volumes));
    }
  }
  const grace = spec.terminationGracePeriodSeconds ?? 0;
  if (grace < 0) problems.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than or equal to 0"));
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
  return problems;
}

function containerProblems(container: Container, path: string, volumes: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  const breach = labelBreach(container.name);
  if (breach !== undefined) problems.push(invalid(`${path}.name`, container.name, breach));
  if ((container.image ?? "") === "") problems.push(required(`${path}.image`));
  const portNames = new Set<string>();
  for (const [index, { name }] of (container.ports ?? []).entries()) {
    if (name === undefined || name === "") continue;
    const wrong = portNameBreach(name);
    if (wrong !== undefined) problems.push(invalid(`${path}.ports[${index}].name`, name, wrong));
    if (portNames.has(name)) problems.push(duplicate(`${path}.ports[${index}].name`, name));
    portNames.add(name);
  }
  for (const [index, env] of (container.env ?? []).entries()) {
    const where = at(`${path}.env`, index);
    if (env.valueFrom === undefined) continue;
    const sources = Object.keys(env.valueFrom);
    if ((env.value ?? "") !== "") problems.push(invalid(`${where}.valueFrom`, "", "may not be specified when `value` is not empty"));
    if (sources.length !== 1)
      problems.push(
        invalid(
          `${where}.valueFrom`,
          "",
          sources.length === 0
            ? "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            : "may not have more than one field specified at a time",
        ),
      );
  }
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const where = at(`${path}.volumeMounts`, index);
    if (!volumes.has(mount.name)) problems.push(notFound(`${where}.name`, mount.name));
  }
  for (const field of ["livenessProbe", "readinessProbe", "startupProbe"] as const) problems.push(...probeProblems(container[field], `${path}.${field}`));
  return problems;
}

function probeProblems(probe: Probe | undefined, path: string): Problem[] {
  if (probe === undefined) return [];
  const handlers = (["exec", "httpGet", "tcpSocket", "grpc"] as const).filter((field) => probe[field] !== undefined);
  if (handlers.length === 0) return [required(path, "must specify a handler type")];
  const problems = handlers.slice(1).map((field) => forbidden(`${path}.${field}`, "may not specify more than 1 handler type"));
  if (probe.successThreshold !== undefined && probe.successThreshold !== 1 && !path.endsWith("readinessProbe")) {
    problems.push(invalid(`${path}.successThreshold`, probe.successThreshold, "must be 1"));
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
