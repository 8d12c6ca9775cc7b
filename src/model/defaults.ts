/** What an object gets that its author left out: defaults of the schema, then those that depend on other fields. */
import type { Deployment } from "./apps.ts";
import type { Namespace, Node, Pod, PodSpec, PodTemplate, Secret, Service } from "./core.ts";
import type { KindId, KindInfo } from "./kinds.ts";
import type { NetworkPolicy } from "./networking.ts";
import type { KubeObject } from "./object.ts";
import type { Container } from "./pod-parts.ts";
import type { SchemaFacts } from "./schema.ts";

/** Returns a new object; parts without changes are shared. */
export function withDefaults<T extends KubeObject>(info: KindInfo, object: T): T {
  const filled = fill(info.schema, object) as T;
  const finish = computed[info.id];
  return finish === undefined ? filled : (finish(filled as never) as unknown as T);
}

function fill(schema: SchemaFacts, value: unknown): unknown {
  if (Array.isArray(value)) return schema.items === undefined ? value : value.map((item: unknown) => fill(schema.items ?? {}, item));
  if (typeof value !== "object" || value === null) return value;
  const result: Record<string, unknown> = { ...value };
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (result[name] !== undefined) result[name] = fill(field, result[name]);
    else if (field.default !== undefined) result[name] = fill(field, field.default);
  }
  if (schema.additionalProperties !== undefined) for (const name of Object.keys(result)) result[name] = fill(schema.additionalProperties, result[name]);
  return result;
}

const computed: { readonly [K in KindId]?: (object: never) => KubeObject } = {
  Namespace: (object: Namespace): Namespace => ({
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name } },
    spec: { finalizers: ["kubernetes"], ...object.spec },
    status: { phase: "Active", ...object.status },
  }),
  Pod: (object: Pod): Pod => {
    const spec = withRequests(podSpecDefaults(object.spec));
    return {
      ...object,
      spec: { ...spec, enableServiceLinks: spec.enableServiceLinks ?? true },
      status: { phase: "Pending", qosClass: qosClass(spec), ...object.status },
    };
  },
  Node: (object: Node): Node => {
    const { podCIDR = "", podCIDRs } = object.spec ?? {};
    return podCIDR === "" || podCIDRs !== undefined ? object : { ...object, spec: { ...object.spec, podCIDRs: [podCIDR] } };
  },
  Deployment: (object: Deployment): Deployment => {
    if (object.spec === undefined) return object;
    const given = object.spec.strategy;
    const rolling = { maxSurge: "25%", maxUnavailable: "25%", ...given?.rollingUpdate };
    const type = given?.type ?? "RollingUpdate";
    const strategy = type === "RollingUpdate" ? { type, rollingUpdate: rolling } : { ...given, type };
    return { ...object, spec: { ...object.spec, strategy, template: templateDefaults(object.spec.template) } };
  },
  ReplicaSet: (object: KubeObject & { readonly spec?: { readonly template?: PodTemplate } }) => {
    if (object.spec?.template === undefined) return object;
    return { ...object, spec: { ...object.spec, template: templateDefaults(object.spec.template) } } as KubeObject;
  },
  Service: serviceDefaults,
  Secret: (object: Secret): Secret => {
    if (object.stringData === undefined) return object;
    const { stringData, ...rest } = object;
    const encoded = Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value, "utf8").toString("base64")] as const);
    return { ...rest, data: { ...rest.data, ...Object.fromEntries(encoded) } };
  },
  NetworkPolicy: (object: NetworkPolicy): NetworkPolicy => {
    // Without a spec it selects every pod of its namespace.
    const { podSelector = {}, policyTypes = [], ...spec } = object.spec ?? {};
    const implied = (spec.egress ?? []).length > 0 ? (["Ingress", "Egress"] as const) : (["Ingress"] as const);
    return { ...object, spec: { ...spec, podSelector, policyTypes: policyTypes.length > 0 ? policyTypes : implied } };
  },
};

function templateDefaults(template: PodTemplate | undefined): PodTemplate {
  return { ...template, spec: podSpecDefaults(template?.spec) };
}

function podSpecDefaults(spec: PodSpec | undefined): PodSpec {
  if (spec === undefined) return { containers: [] };
  const account = spec.serviceAccountName ?? spec.serviceAccount;
  const containers = (list: readonly Container[]) => list.map((each) => containerDefaults(each, spec.hostNetwork === true));
  return {
    ...spec,
    ...(account === undefined ? {} : { serviceAccountName: account, serviceAccount: account }),
    containers: containers(spec.containers ?? []),
    ...(spec.initContainers === undefined ? {} : { initContainers: containers(spec.initContainers) }),
  };
}

function containerDefaults(container: Container, hostNetwork: boolean): Container {
  const { image = "", ports } = container;
  const tag = image.includes("@") ? "digest" : (/:([^:/]+)$/.exec(image)?.[1] ?? "latest");
  return {
    ...container,
    imagePullPolicy: container.imagePullPolicy ?? (tag === "latest" ? "Always" : "IfNotPresent"),
    ...(ports === undefined || !hostNetwork ? {} : { ports: ports.map((port) => ({ ...port, hostPort: port.hostPort ?? port.containerPort })) }),
  };
}

/** Of pods, not of templates: what is limited and asks for nothing else asks for its limit. */
function withRequests(spec: PodSpec): PodSpec {
  const filled = (list: readonly Container[]) =>
    list.map((container) => {
      const { limits, requests } = container.resources ?? {};
      return limits === undefined ? container : { ...container, resources: { ...container.resources, requests: { ...limits, ...requests } } };
    });
  return { ...spec, containers: filled(spec.containers), ...(spec.initContainers === undefined ? {} : { initContainers: filled(spec.initContainers) }) };
}

function qosClass(spec: PodSpec): string {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  const guaranteed = containers.every(({ resources }) =>
    ["cpu", "memory"].every(
      (name) => resources?.limits?.[name] !== undefined && (resources.requests?.[name] ?? resources.limits[name]) === resources.limits[name],
    ),
  );
  if (guaranteed) return "Guaranteed";
  const asks = containers.some(({ resources }) => Object.keys({ ...resources?.limits, ...resources?.requests }).length > 0);
  return asks ? "Burstable" : "BestEffort";
}

function serviceDefaults(object: Service): Service {
  const { spec } = object;
  if (spec === undefined) return object;
  const external = spec.type === "NodePort" || spec.type === "LoadBalancer";
  return {
    ...object,
    spec: {
      ...spec,
      ...(spec.ports === undefined ? {} : { ports: spec.ports.map((port) => ({ ...port, targetPort: port.targetPort ?? port.port })) }),
      ...(external ? { externalTrafficPolicy: spec.externalTrafficPolicy ?? "Cluster" } : {}),
      ...(spec.type === "ExternalName" ? {} : { internalTrafficPolicy: spec.internalTrafficPolicy ?? "Cluster" }),
      ...(spec.type === "LoadBalancer" ? { allocateLoadBalancerNodePorts: spec.allocateLoadBalancerNodePorts ?? true } : {}),
      ...(spec.sessionAffinity === "ClientIP" ? { sessionAffinityConfig: spec.sessionAffinityConfig ?? { clientIP: { timeoutSeconds: 10800 } } } : {}),
    },
    status: { loadBalancer: {}, ...object.status },
  };
}
