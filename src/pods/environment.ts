/** The environment and command line of a container: image, envFrom, env with its references, $(NAME) expansion. Pure. */
import type { ImageEntry } from "#model/config.ts";
import type { ConfigMap, Pod, Secret } from "#model/core.ts";
import type { Container, EnvVar } from "#model/pod-parts.ts";
import { downwardField, resourceField, type PodFacts } from "./downward.ts";

/** Objects of the pod's namespace. One that was never asked for is not known at once. */
export interface Sources {
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
  /** Resolves when the API has answered for all that was asked for so far, so that what is still undefined does not exist; or when `signal` says so. */
  settled(signal: AbortSignal): Promise<void>;
}

/** What stands in the way of starting: kubelet's reason, and words for people. */
export interface ConfigProblem {
  readonly reason: string;
  readonly message: string;
}

export type Environment = Readonly<Record<string, string>>;

export interface ProcessDescription {
  readonly env: Environment;
  readonly command: readonly string[];
}

interface Asked {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: ImageEntry;
  readonly facts: PodFacts;
  readonly sources: Sources;
}

export function describeProcess(asked: Asked): ProcessDescription | ConfigProblem {
  const { pod, container, image, facts, sources } = asked;
  const env = new Map<string, string>(Object.entries(image.env ?? {}));
  for (const [index, from] of (container.envFrom ?? []).entries()) {
    const problem = takeAll(env, from, sources, `containers[${container.name}].envFrom[${index}]`);
    if (problem !== undefined) return problem;
  }
  for (const [index, variable] of (container.env ?? []).entries()) {
    const where = `containers[${container.name}].env[${index}] (${variable.name})`;
    const value = valueOf(variable, { pod, container, facts, sources, where, env });
    if (typeof value === "object") return value;
    if (value !== undefined) env.set(variable.name, value);
  }
  const plain = Object.fromEntries(env);
  // As in Kubernetes: command replaces the image's command and its args, args alone replaces its args.
  const command = (container.command?.length ?? 0) > 0 ? (container.command ?? []) : image.command;
  const own = (container.command?.length ?? 0) > 0 ? [] : (image.args ?? []);
  const args = (container.args?.length ?? 0) > 0 ? (container.args ?? []) : own;
  const line = [...command, ...args].map((word) => expand(word, plain));
  if (line.length === 0) {
    return {
      reason: "CreateContainerError",
      message: `no command: neither containers[${container.name}].command nor the image map's entry for ${JSON.stringify(image.match)} has one`,
    };
  }
  return { env: plain, command: line };
}

export function isProblem(value: ProcessDescription | ConfigProblem): value is ConfigProblem {
  return "reason" in value;
}

type EnvFrom = NonNullable<Container["envFrom"]>[number];

function takeAll(env: Map<string, string>, from: EnvFrom, sources: Sources, where: string): ConfigProblem | undefined {
  const reference = from.configMapRef ?? from.secretRef;
  const name = reference?.name ?? "";
  const kind = from.configMapRef !== undefined ? "configmap" : "secret";
  const data = kind === "configmap" ? sources.configMap(name)?.data : decoded(sources.secret(name));
  const exists = kind === "configmap" ? sources.configMap(name) !== undefined : sources.secret(name) !== undefined;
  if (!exists && reference?.optional !== true) return missing(`${kind} "${name}" not found (${where})`);
  for (const [key, value] of Object.entries(data ?? {})) env.set(`${from.prefix ?? ""}${key}`, value);
  return undefined;
}

interface Lookup {
  readonly pod: Pod;
  readonly container: Container;
  readonly facts: PodFacts;
  readonly sources: Sources;
  readonly where: string;
  readonly env: ReadonlyMap<string, string>;
}

function valueOf(variable: EnvVar, lookup: Lookup): string | undefined | ConfigProblem {
  const from = variable.valueFrom;
  if (from === undefined) return expand(variable.value ?? "", Object.fromEntries(lookup.env));
  if (from.fieldRef !== undefined) {
    const value = downwardField(lookup.pod, lookup.facts, from.fieldRef.fieldPath);
    return value ?? missing(`fieldPath ${JSON.stringify(from.fieldRef.fieldPath)} is not supported (${lookup.where})`);
  }
  if (from.resourceFieldRef !== undefined) {
    const { resource, divisor } = from.resourceFieldRef;
    const value = resourceField(lookup.container, lookup.facts, { resource, divisor: divisor === undefined ? undefined : String(divisor) });
    return value ?? missing(`resource ${JSON.stringify(resource)} is not supported (${lookup.where})`);
  }
  if (from.configMapKeyRef !== undefined) {
    const { name = "", key, optional } = from.configMapKeyRef;
    const object = lookup.sources.configMap(name);
    const value = object?.data?.[key];
    if (value !== undefined || optional === true) return value;
    return missing(
      object === undefined
        ? `configmap "${name}" not found (${lookup.where})`
        : `couldn't find key ${key} in ConfigMap ${lookup.pod.metadata.namespace}/${name} (${lookup.where})`,
    );
  }
  if (from.secretKeyRef !== undefined) {
    const { name = "", key, optional } = from.secretKeyRef;
    const object = lookup.sources.secret(name);
    const value = decoded(object)[key];
    if (value !== undefined || optional === true) return value;
    return missing(
      object === undefined
        ? `secret "${name}" not found (${lookup.where})`
        : `couldn't find key ${key} in Secret ${lookup.pod.metadata.namespace}/${name} (${lookup.where})`,
    );
  }
  return missing(`valueFrom has no source that this runtime knows (${lookup.where})`);
}

function decoded(secret: Secret | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]));
}

function missing(message: string): ConfigProblem {
  return { reason: "CreateContainerConfigError", message };
}

/** Kubernetes' rule: $(NAME) of a known variable is replaced, of an unknown one stays, $$(NAME) is a literal $(NAME). */
export function expand(text: string, env: Environment): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) => {
    if (whole === "$$") return "$";
    return name !== undefined && Object.hasOwn(env, name) ? (env[name] ?? whole) : whole;
  });
}
