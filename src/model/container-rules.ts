/** What Kubernetes demands of a container beyond the shape of its fields. Required ones may miss here: that is said elsewhere. */
import { envNameBreach, labelBreach, portBreach, portNameBreach } from "./names.ts";
import { at, duplicate, forbidden, invalid, notFound, required, unsupported, type Problem } from "./problem.ts";
import type { Container, EnvVar, Probe } from "./pod-parts.ts";
import { parseQuantity } from "./quantity.ts";

export function containerProblems(container: Partial<Container>, path: string, volumes: ReadonlySet<string>): Problem[] {
  const { name = "", image = "" } = container;
  const problems: Problem[] = [];
  const breach = name === "" ? undefined : labelBreach(name);
  if (breach !== undefined) problems.push(invalid(`${path}.name`, name, breach));
  if (image === "") problems.push(required(`${path}.image`));
  else if (image.trim() !== image) problems.push(invalid(`${path}.image`, image, "must not have leading or trailing whitespace"));
  problems.push(...portProblems(container, path));
  for (const [index, env] of (container.env ?? []).entries()) problems.push(...envProblems(env, at(`${path}.env`, index)));
  problems.push(...envFromProblems(container, path), ...mountProblems(container, path, volumes));
  for (const field of ["livenessProbe", "readinessProbe", "startupProbe"] as const) problems.push(...probeProblems(container[field], `${path}.${field}`));
  for (const field of ["postStart", "preStop"] as const) {
    const hook = container.lifecycle?.[field];
    if (hook !== undefined) problems.push(...handlerProblems(hook, `${path}.lifecycle.${field}`, ["exec", "httpGet", "tcpSocket", "sleep"]));
  }
  problems.push(...resourceProblems(container.resources ?? {}, `${path}.resources`));
  for (const field of ["runAsUser", "runAsGroup"] as const) {
    const id = container.securityContext?.[field];
    if (id !== undefined && (id < 0 || id > 2147483647)) {
      problems.push(invalid(`${path}.securityContext.${field}`, id, "must be between 0 and 2147483647, inclusive"));
    }
  }
  return problems;
}

function portProblems(container: Partial<Container>, path: string): Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  for (const [index, { name = "", hostPort = 0 }] of (container.ports ?? []).entries()) {
    const where = `${path}.ports[${index}]`;
    if (hostPort < 0 || hostPort > 65535) problems.push(invalid(`${where}.hostPort`, hostPort, "must be between 1 and 65535, inclusive"));
    if (name === "") continue;
    const wrong = portNameBreach(name);
    if (wrong !== undefined) problems.push(invalid(`${where}.name`, name, wrong));
    if (names.has(name)) problems.push(duplicate(`${where}.name`, name));
    names.add(name);
  }
  return problems;
}

const envFields = ["metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"];
const addressFields = ["status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"];
const mapFields = ["metadata.labels", "metadata.annotations"];
const known = new Set([...envFields, ...addressFields, ...mapFields, "spec.restartPolicy", "spec.schedulerName", "spec.hostNetwork", "status.phase"]);

/** Which fields of its pod a container may read; as environment, or as a file of a downwardAPI volume. */
export function fieldPathBreach(fieldPath: string, as: "env" | "volume"): string | undefined {
  if (/^metadata\.(labels|annotations)\['[^']+'\]$/.test(fieldPath)) return undefined;
  if (!known.has(fieldPath)) return `error converting fieldPath: field label not supported: ${fieldPath}`;
  const allowed = as === "env" ? [...envFields, ...addressFields] : [...mapFields, "metadata.name", "metadata.namespace", "metadata.uid"];
  if (allowed.includes(fieldPath)) return undefined;
  return `Unsupported value: supported values: ${allowed
    .toSorted()
    .map((each) => JSON.stringify(each))
    .join(", ")}`;
}

function envProblems({ name = "", value = "", valueFrom }: Partial<EnvVar>, path: string): Problem[] {
  const problems: Problem[] = [];
  const breach = name === "" ? undefined : envNameBreach(name);
  if (breach !== undefined) problems.push(invalid(`${path}.name`, name, breach));
  if (valueFrom === undefined) return problems;
  const where = `${path}.valueFrom`;
  const fieldPath = valueFrom.fieldRef?.fieldPath ?? "";
  const wrong = fieldPath === "" ? undefined : fieldPathBreach(fieldPath, "env");
  if (wrong !== undefined) problems.push(invalid(`${where}.fieldRef.fieldPath`, fieldPath, wrong));
  const sources = Object.keys(valueFrom);
  if (sources.length === 0) {
    problems.push(invalid(where, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"));
  } else if (value !== "") problems.push(invalid(where, "", "may not be specified when `value` is not empty"));
  else if (sources.length > 1) problems.push(invalid(where, "", "may not have more than one field specified at a time"));
  for (const field of ["configMapKeyRef", "secretKeyRef"] as const) {
    if (valueFrom[field] !== undefined && (valueFrom[field].name ?? "") === "") problems.push(required(`${where}.${field}.name`));
  }
  return problems;
}

function envFromProblems({ envFrom = [] }: Partial<Container>, path: string): Problem[] {
  return envFrom.flatMap((from, index) => {
    if (from.configMapRef === undefined && from.secretRef === undefined)
      return [invalid(`${path}.envFrom`, "", "must specify one of: `configMapRef` or `secretRef`")];
    const nameless = (["configMapRef", "secretRef"] as const).filter((field) => from[field] !== undefined && (from[field].name ?? "") === "");
    return nameless.map((field) => required(`${path}.envFrom[${index}].${field}.name`));
  });
}

function mountProblems(container: Partial<Container>, path: string, volumes: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  for (const [index, { name = "", mountPath = "", subPath = "" }] of (container.volumeMounts ?? []).entries()) {
    const where = at(`${path}.volumeMounts`, index);
    if (name !== "" && !volumes.has(name)) problems.push(notFound(`${where}.name`, name));
    if (mountPath.includes(":")) problems.push(invalid(`${where}.mountPath`, mountPath, "must not contain ':'"));
    if (subPath.startsWith("/")) problems.push(invalid(`${where}.subPath`, subPath, "must be a relative path"));
    else if (subPath.split("/").includes("..")) problems.push(invalid(`${where}.subPath`, subPath, "must not contain '..'"));
  }
  return problems;
}

type Handler = Pick<Probe, "exec" | "httpGet" | "tcpSocket" | "grpc"> & { readonly sleep?: unknown };

function handlerProblems(handler: Handler, path: string, fields: readonly (keyof Handler)[]): Problem[] {
  const given = fields.filter((field) => handler[field] !== undefined);
  if (given.length === 0) return [required(path, "must specify a handler type")];
  const problems = given.slice(1).map((field) => forbidden(`${path}.${field}`, "may not specify more than 1 handler type"));
  if (handler.exec !== undefined && (handler.exec.command ?? []).length === 0) problems.push(required(`${path}.exec.command`));
  for (const field of ["httpGet", "tcpSocket"] as const) {
    const port = handler[field]?.port;
    const breach = port === undefined || port === "" ? undefined : portBreach(port);
    if (breach !== undefined) problems.push(invalid(`${path}.${field}.port`, port, breach));
  }
  return problems;
}

function probeProblems(probe: Probe | undefined, path: string): Problem[] {
  if (probe === undefined) return [];
  const problems = handlerProblems(probe, path, ["exec", "httpGet", "tcpSocket", "grpc"]);
  if (probe.successThreshold !== undefined && probe.successThreshold !== 1 && !path.endsWith("readinessProbe")) {
    problems.push(invalid(`${path}.successThreshold`, probe.successThreshold, "must be 1"));
  }
  return problems;
}

function resourceProblems({ limits = {}, requests = {} }: NonNullable<Container["resources"]>, path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [field, amounts] of [["limits", limits] as const, ["requests", requests] as const]) {
    for (const [name, amount] of Object.entries(amounts)) {
      if ((parseQuantity(amount) ?? 0) < 0) problems.push(invalid(`${path}.${field}[${name}]`, amount, "must be greater than or equal to 0"));
      if (!name.includes("/") && !/^(cpu|memory|ephemeral-storage|storage|hugepages-.+)$/.test(name)) {
        problems.push(unsupported(`${path}.${field}[${name}]`, name, ["cpu", "ephemeral-storage", "memory"]));
      }
    }
  }
  for (const [name, asked] of Object.entries(requests)) {
    const limit = limits[name];
    if (limit !== undefined && (parseQuantity(asked) ?? 0) > (parseQuantity(limit) ?? 0)) {
      problems.push(invalid(`${path}.requests`, asked, `must be less than or equal to ${name} limit of ${limit}`));
    }
  }
  return problems;
}
