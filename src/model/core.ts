/** core/v1: Namespace Node Pod Service ServiceAccount ConfigMap Secret Event. */
import { condition, labelMap, objectMeta } from "./meta.ts";
import type { KubeObject } from "./object.ts";
import {
  affinity,
  container,
  ephemeralContainer,
  localObjectReference,
  podSecurityContext,
  port,
  resourceRequirements,
  secretData,
  toleration,
  topologySpread,
  volume,
} from "./pod-parts.ts";
import {
  anyObject,
  bool,
  bytes,
  having,
  int32,
  int64,
  intOrString,
  list,
  listByKey,
  mapOf,
  mergeList,
  oneOfTexts,
  quantity,
  setOf,
  struct,
  text,
  time,
  type Static,
} from "./schema.ts";

const core = (name: string) => ({ definition: `io.k8s.api.core.v1.${name}` });
const conditionFields = { lastTransitionTime: time, reason: text, message: text, observedGeneration: int64 };
const oldCondition = (name: string) => struct({ type: text, status: text }, conditionFields, core(name));

export const namespaceSpec = struct({}, { finalizers: list(text) }, core("NamespaceSpec"));
export const namespaceStatus = struct(
  {},
  { phase: oneOfTexts("Active", "Terminating"), conditions: mergeList(oldCondition("NamespaceCondition"), ["type"]) },
  core("NamespaceStatus"),
);
export interface Namespace extends KubeObject {
  readonly spec?: Static<typeof namespaceSpec>;
  readonly status?: Static<typeof namespaceStatus>;
}

const taint = struct({ key: text, effect: text }, { value: text, timeAdded: time }, core("Taint"));
export const nodeSpec = struct(
  {},
  {
    podCIDR: text,
    podCIDRs: setOf(text, { patchStrategy: "merge" }),
    providerID: text,
    unschedulable: bool,
    taints: list(taint),
    configSource: anyObject,
    externalID: text,
  },
  core("NodeSpec"),
);
const nodeSystemInfo = struct(
  {},
  {
    machineID: text,
    systemUUID: text,
    bootID: text,
    kernelVersion: text,
    osImage: text,
    containerRuntimeVersion: text,
    kubeletVersion: text,
    kubeProxyVersion: text,
    operatingSystem: text,
    architecture: text,
    swap: anyObject,
  },
  core("NodeSystemInfo"),
);
export const nodeStatus = struct(
  {},
  {
    capacity: mapOf(quantity),
    allocatable: mapOf(quantity),
    phase: text,
    conditions: mergeList(struct({ type: text, status: text }, { ...conditionFields, lastHeartbeatTime: time }, core("NodeCondition")), ["type"]),
    addresses: mergeList(struct({ type: text, address: text }, {}, core("NodeAddress")), ["type"]),
    daemonEndpoints: struct({}, { kubeletEndpoint: struct({ Port: int32 }, {}, core("DaemonEndpoint")) }, core("NodeDaemonEndpoints")),
    nodeInfo: nodeSystemInfo,
    images: list(struct({}, { names: list(text), sizeBytes: int64 }, core("ContainerImage"))),
    volumesInUse: list(text),
    volumesAttached: list(anyObject),
    config: anyObject,
    runtimeHandlers: list(anyObject),
    features: anyObject,
    declaredFeatures: list(text),
  },
  core("NodeStatus"),
);
export interface Node extends KubeObject {
  readonly spec?: Static<typeof nodeSpec>;
  readonly status?: Static<typeof nodeStatus>;
}

export const podSpec = struct(
  { containers: mergeList(container, ["name"]) },
  {
    volumes: mergeList(volume, ["name"], { patchStrategy: "merge,retainKeys" }),
    initContainers: mergeList(container, ["name"]),
    ephemeralContainers: mergeList(ephemeralContainer, ["name"]),
    restartPolicy: having(oneOfTexts("Always", "OnFailure", "Never"), { default: "Always" }),
    terminationGracePeriodSeconds: having(int64, { default: 30 }),
    activeDeadlineSeconds: int64,
    dnsPolicy: having(oneOfTexts("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"), { default: "ClusterFirst" }),
    nodeSelector: mapOf(text, { mapType: "atomic" }),
    serviceAccountName: text,
    serviceAccount: text,
    automountServiceAccountToken: bool,
    nodeName: text,
    hostNetwork: bool,
    hostPID: bool,
    hostIPC: bool,
    shareProcessNamespace: bool,
    securityContext: having(podSecurityContext, { default: {} }),
    imagePullSecrets: mergeList(localObjectReference, ["name"]),
    hostname: text,
    hostnameOverride: text,
    subdomain: text,
    affinity,
    schedulerName: having(text, { default: "default-scheduler" }),
    tolerations: list(toleration),
    hostAliases: mergeList(struct({ ip: text }, { hostnames: list(text) }, core("HostAlias")), ["ip"]),
    priorityClassName: text,
    priority: int32,
    preemptionPolicy: text,
    dnsConfig: struct(
      {},
      { nameservers: list(text), searches: list(text), options: list(struct({}, { name: text, value: text }, core("PodDNSConfigOption"))) },
      core("PodDNSConfig"),
    ),
    readinessGates: list(struct({ conditionType: text }, {}, core("PodReadinessGate"))),
    runtimeClassName: text,
    enableServiceLinks: bool,
    overhead: mapOf(quantity),
    topologySpreadConstraints: listByKey(topologySpread, ["topologyKey", "whenUnsatisfiable"], { patchMergeKey: "topologyKey", patchStrategy: "merge" }),
    setHostnameAsFQDN: bool,
    os: struct({ name: text }, {}, core("PodOS")),
    hostUsers: bool,
    schedulingGates: mergeList(struct({ name: text }, {}, core("PodSchedulingGate")), ["name"]),
    resourceClaims: mergeList(struct({ name: text }, { resourceClaimName: text, resourceClaimTemplateName: text }, core("PodResourceClaim")), ["name"], {
      patchStrategy: "merge,retainKeys",
    }),
    resources: resourceRequirements,
    workloadRef: anyObject,
  },
  core("PodSpec"),
);
export type PodSpec = Static<typeof podSpec>;

const terminated = struct(
  { exitCode: int32 },
  { signal: int32, reason: text, message: text, startedAt: time, finishedAt: time, containerID: text },
  core("ContainerStateTerminated"),
);
const containerState = struct(
  {},
  {
    waiting: struct({}, { reason: text, message: text }, core("ContainerStateWaiting")),
    running: struct({}, { startedAt: time }, core("ContainerStateRunning")),
    terminated,
  },
  core("ContainerState"),
);
export type ContainerState = Static<typeof containerState>;
export const containerStatus = struct(
  { name: text, ready: bool, restartCount: int32, image: text, imageID: text },
  {
    state: containerState,
    lastState: containerState,
    containerID: text,
    started: bool,
    allocatedResources: mapOf(quantity),
    resources: resourceRequirements,
    volumeMounts: list(anyObject),
    user: anyObject,
    allocatedResourcesStatus: list(anyObject),
    stopSignal: text,
  },
  core("ContainerStatus"),
);
export type ContainerStatus = Static<typeof containerStatus>;
const hostIp = struct({ ip: text }, {}, core("HostIP"));
export const podStatus = struct(
  {},
  {
    observedGeneration: int64,
    phase: oneOfTexts("Pending", "Running", "Succeeded", "Failed", "Unknown"),
    conditions: mergeList(struct({ type: text, status: text }, { ...conditionFields, lastProbeTime: having(time, { nullable: true }) }, core("PodCondition")), [
      "type",
    ]),
    message: text,
    reason: text,
    nominatedNodeName: text,
    hostIP: text,
    hostIPs: list(hostIp, { patchMergeKey: "ip", patchStrategy: "merge" }),
    podIP: text,
    podIPs: mergeList(struct({ ip: text }, {}, core("PodIP")), ["ip"]),
    startTime: time,
    initContainerStatuses: list(containerStatus),
    containerStatuses: list(containerStatus),
    ephemeralContainerStatuses: list(containerStatus),
    qosClass: text,
    resize: text,
    resourceClaimStatuses: list(anyObject),
    extendedResourceClaimStatus: anyObject,
    allocatedResources: mapOf(quantity),
    resources: resourceRequirements,
  },
  core("PodStatus"),
);
export type PodStatus = Static<typeof podStatus>;
export interface Pod extends KubeObject {
  readonly spec: PodSpec;
  readonly status?: PodStatus;
}
/** In Deployments and ReplicaSets. */
export const podTemplate = struct({ spec: podSpec }, { metadata: objectMeta }, core("PodTemplateSpec"));
export type PodTemplate = Static<typeof podTemplate>;

export const servicePort = struct(
  { port },
  {
    name: text,
    protocol: having(oneOfTexts("TCP", "UDP", "SCTP"), { default: "TCP" }),
    appProtocol: text,
    targetPort: intOrString,
    nodePort: having(int32, { minimum: 0, maximum: 65535 }),
  },
  core("ServicePort"),
);
export type ServicePort = Static<typeof servicePort>;
const trafficPolicy = oneOfTexts("Cluster", "Local");
export const serviceSpec = struct(
  {},
  {
    ports: listByKey(servicePort, ["port", "protocol"], { patchMergeKey: "port", patchStrategy: "merge" }),
    selector: mapOf(text, { mapType: "atomic" }),
    clusterIP: text,
    clusterIPs: list(text),
    type: having(oneOfTexts("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"), { default: "ClusterIP" }),
    externalIPs: list(text),
    sessionAffinity: having(oneOfTexts("None", "ClientIP"), { default: "None" }),
    loadBalancerIP: text,
    loadBalancerSourceRanges: list(text),
    externalName: text,
    externalTrafficPolicy: trafficPolicy,
    healthCheckNodePort: int32,
    publishNotReadyAddresses: bool,
    sessionAffinityConfig: struct(
      {},
      { clientIP: struct({}, { timeoutSeconds: having(int32, { default: 10800 }) }, core("ClientIPConfig")) },
      core("SessionAffinityConfig"),
    ),
    ipFamilies: list(oneOfTexts("IPv4", "IPv6")),
    ipFamilyPolicy: oneOfTexts("SingleStack", "PreferDualStack", "RequireDualStack"),
    allocateLoadBalancerNodePorts: bool,
    loadBalancerClass: text,
    internalTrafficPolicy: trafficPolicy,
    trafficDistribution: text,
  },
  core("ServiceSpec"),
);
export type ServiceSpec = Static<typeof serviceSpec>;
const loadBalancerPort = struct({ port: int32, protocol: text }, { error: text }, core("PortStatus"));
export const serviceStatus = struct(
  {},
  {
    loadBalancer: struct(
      {},
      { ingress: list(struct({}, { ip: text, hostname: text, ipMode: text, ports: list(loadBalancerPort) }, core("LoadBalancerIngress"))) },
      core("LoadBalancerStatus"),
    ),
    conditions: mergeList(condition, ["type"]),
  },
  core("ServiceStatus"),
);
export interface Service extends KubeObject {
  readonly spec: ServiceSpec;
  readonly status?: Static<typeof serviceStatus>;
}

export const objectReference = struct(
  {},
  { kind: text, namespace: text, name: text, uid: text, apiVersion: text, resourceVersion: text, fieldPath: text },
  { ...core("ObjectReference"), mapType: "atomic" },
);
export const serviceAccountFields = {
  secrets: mergeList(objectReference, ["name"]),
  imagePullSecrets: mergeList(localObjectReference, ["name"]),
  automountServiceAccountToken: bool,
};
const serviceAccountBody = struct({}, serviceAccountFields);
export interface ServiceAccount extends KubeObject, Static<typeof serviceAccountBody> {}

export const configMapFields = { data: labelMap, binaryData: mapOf(bytes), immutable: bool };
const configMapBody = struct({}, configMapFields);
export interface ConfigMap extends KubeObject, Static<typeof configMapBody> {}

export const secretFields = { data: secretData, stringData: labelMap, type: having(text, { default: "Opaque" }), immutable: bool };
const secretBody = struct({}, secretFields);
export interface Secret extends KubeObject, Static<typeof secretBody> {}

const microTime = time;
export const eventFields = {
  involvedObject: objectReference,
  reason: text,
  message: text,
  source: struct({}, { component: text, host: text }, core("EventSource")),
  firstTimestamp: having(time, { nullable: true }),
  lastTimestamp: having(time, { nullable: true }),
  count: int32,
  type: text,
  eventTime: having(microTime, { nullable: true }),
  series: struct({}, { count: int32, lastObservedTime: microTime }, core("EventSeries")),
  action: text,
  related: objectReference,
  reportingComponent: having(text, { default: "" }),
  reportingInstance: having(text, { default: "" }),
};
const eventBody = struct({}, eventFields);
export interface Event extends KubeObject, Static<typeof eventBody> {}
