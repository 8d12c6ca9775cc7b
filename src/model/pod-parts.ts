/** What a Pod is made of: containers, probes, volumes, scheduling (core/v1). Volume types that Weft refuses stay open objects. */
import { labelSelector } from "./meta.ts";
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
  struct,
  text,
  type Static,
} from "./schema.ts";

const core = (name: string) => ({ definition: `io.k8s.api.core.v1.${name}` });
export const port = having(int32, { minimum: 1, maximum: 65535 });

export const localObjectReference = struct({}, { name: text }, { ...core("LocalObjectReference"), mapType: "atomic" });
const keySelector = (name: string) => struct({ key: text }, { name: text, optional: bool }, { ...core(name), mapType: "atomic" });
const objectFieldSelector = struct({ fieldPath: text }, { apiVersion: having(text, { default: "v1" }) }, { ...core("ObjectFieldSelector"), mapType: "atomic" });
const resourceFieldSelector = struct({ resource: text }, { containerName: text, divisor: quantity }, { ...core("ResourceFieldSelector"), mapType: "atomic" });

export const envVar = struct(
  { name: text },
  {
    value: text,
    valueFrom: struct(
      {},
      {
        fieldRef: objectFieldSelector,
        resourceFieldRef: resourceFieldSelector,
        configMapKeyRef: keySelector("ConfigMapKeySelector"),
        secretKeyRef: keySelector("SecretKeySelector"),
        fileKeyRef: anyObject,
      },
      core("EnvVarSource"),
    ),
  },
  core("EnvVar"),
);
export type EnvVar = Static<typeof envVar>;

const optionalName = (name: string) => struct({}, { name: text, optional: bool }, core(name));
const envFrom = struct(
  {},
  { prefix: text, configMapRef: optionalName("ConfigMapEnvSource"), secretRef: optionalName("SecretEnvSource") },
  core("EnvFromSource"),
);

const httpHeader = struct({ name: text, value: text }, {}, core("HTTPHeader"));
const scheme = having(oneOfTexts("HTTP", "HTTPS"), { default: "HTTP" });
const httpGet = struct(
  { port: intOrString },
  { path: having(text, { default: "/" }), host: text, scheme, httpHeaders: list(httpHeader) },
  core("HTTPGetAction"),
);
const tcpSocket = struct({ port: intOrString }, { host: text }, core("TCPSocketAction"));
const execAction = struct({}, { command: list(text) }, core("ExecAction"));

export const probe = struct(
  {},
  {
    exec: execAction,
    httpGet,
    tcpSocket,
    grpc: struct({ port: int32 }, { service: having(text, { default: "" }) }, core("GRPCAction")),
    initialDelaySeconds: having(int32, { minimum: 0 }),
    timeoutSeconds: having(int32, { minimum: 1, default: 1 }),
    periodSeconds: having(int32, { minimum: 1, default: 10 }),
    successThreshold: having(int32, { minimum: 1, default: 1 }),
    failureThreshold: having(int32, { minimum: 1, default: 3 }),
    terminationGracePeriodSeconds: int64,
  },
  core("Probe"),
);
export type Probe = Static<typeof probe>;

const handler = struct({}, { exec: execAction, httpGet, tcpSocket, sleep: struct({ seconds: int64 }, {}, core("SleepAction")) }, core("LifecycleHandler"));

export const resourceRequirements = struct(
  {},
  {
    limits: mapOf(quantity),
    requests: mapOf(quantity),
    claims: listByKey(struct({ name: text }, { request: text }, core("ResourceClaim")), ["name"]),
  },
  core("ResourceRequirements"),
);

const seLinux = struct({}, { user: text, role: text, type: text, level: text }, core("SELinuxOptions"));
const seccomp = struct({ type: text }, { localhostProfile: text }, core("SeccompProfile"));
const appArmor = struct({ type: text }, { localhostProfile: text }, core("AppArmorProfile"));
const windows = struct(
  {},
  { gmsaCredentialSpecName: text, gmsaCredentialSpec: text, runAsUserName: text, hostProcess: bool },
  core("WindowsSecurityContextOptions"),
);

const securityContext = struct(
  {},
  {
    capabilities: struct({}, { add: list(text), drop: list(text) }, core("Capabilities")),
    privileged: bool,
    seLinuxOptions: seLinux,
    windowsOptions: windows,
    runAsUser: int64,
    runAsGroup: int64,
    runAsNonRoot: bool,
    readOnlyRootFilesystem: bool,
    allowPrivilegeEscalation: bool,
    procMount: text,
    seccompProfile: seccomp,
    appArmorProfile: appArmor,
  },
  core("SecurityContext"),
);

export const podSecurityContext = struct(
  {},
  {
    seLinuxOptions: seLinux,
    windowsOptions: windows,
    runAsUser: int64,
    runAsGroup: int64,
    runAsNonRoot: bool,
    supplementalGroups: list(int64),
    supplementalGroupsPolicy: text,
    fsGroup: int64,
    sysctls: list(struct({ name: text, value: text }, {}, core("Sysctl"))),
    fsGroupChangePolicy: text,
    seccompProfile: seccomp,
    appArmorProfile: appArmor,
    seLinuxChangePolicy: text,
  },
  core("PodSecurityContext"),
);

export const containerPort = struct(
  { containerPort: port },
  { name: text, hostPort: int32, protocol: having(oneOfTexts("TCP", "UDP", "SCTP"), { default: "TCP" }), hostIP: text },
  core("ContainerPort"),
);

export const volumeMount = struct(
  { name: text, mountPath: text },
  { readOnly: bool, recursiveReadOnly: text, subPath: text, mountPropagation: text, subPathExpr: text },
  core("VolumeMount"),
);

const containerFields = {
  image: text,
  command: list(text),
  args: list(text),
  workingDir: text,
  ports: listByKey(containerPort, ["containerPort", "protocol"], { patchMergeKey: "containerPort", patchStrategy: "merge" }),
  envFrom: list(envFrom),
  env: mergeList(envVar, ["name"]),
  resources: having(resourceRequirements, { default: {} }),
  resizePolicy: list(struct({ resourceName: text, restartPolicy: text }, {}, core("ContainerResizePolicy"))),
  restartPolicy: text,
  restartPolicyRules: list(anyObject),
  volumeMounts: mergeList(volumeMount, ["mountPath"]),
  volumeDevices: mergeList(struct({ name: text, devicePath: text }, {}, core("VolumeDevice")), ["devicePath"]),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  lifecycle: struct({}, { postStart: handler, preStop: handler, stopSignal: text }, core("Lifecycle")),
  terminationMessagePath: having(text, { default: "/dev/termination-log" }),
  terminationMessagePolicy: having(oneOfTexts("File", "FallbackToLogsOnError"), { default: "File" }),
  imagePullPolicy: oneOfTexts("Always", "IfNotPresent", "Never"),
  securityContext,
  stdin: bool,
  stdinOnce: bool,
  tty: bool,
};
export const container = struct({ name: text }, containerFields, core("Container"));
export type Container = Static<typeof container>;
export const ephemeralContainer = struct({ name: text }, { ...containerFields, targetContainerName: text }, core("EphemeralContainer"));

const keyToPath = struct({ key: text, path: text }, { mode: int32 }, core("KeyToPath"));
const defaultMode = having(int32, { default: 420, minimum: 0, maximum: 511 });
const downwardFile = struct(
  { path: text },
  { fieldRef: objectFieldSelector, resourceFieldRef: resourceFieldSelector, mode: int32 },
  core("DownwardAPIVolumeFile"),
);
const projection = struct(
  {},
  {
    secret: struct({}, { name: text, items: list(keyToPath), optional: bool }, core("SecretProjection")),
    configMap: struct({}, { name: text, items: list(keyToPath), optional: bool }, core("ConfigMapProjection")),
    downwardAPI: struct({}, { items: list(downwardFile) }, core("DownwardAPIProjection")),
    serviceAccountToken: struct({ path: text }, { audience: text, expirationSeconds: having(int64, { default: 3600 }) }, core("ServiceAccountTokenProjection")),
    clusterTrustBundle: anyObject,
    podCertificate: anyObject,
  },
  core("VolumeProjection"),
);

export const volume = struct(
  { name: text },
  {
    configMap: struct({}, { name: text, items: list(keyToPath), defaultMode, optional: bool }, core("ConfigMapVolumeSource")),
    secret: struct({}, { secretName: text, items: list(keyToPath), defaultMode, optional: bool }, core("SecretVolumeSource")),
    emptyDir: struct({}, { medium: text, sizeLimit: quantity }, core("EmptyDirVolumeSource")),
    downwardAPI: struct({}, { items: list(downwardFile), defaultMode }, core("DownwardAPIVolumeSource")),
    projected: struct({}, { sources: list(projection), defaultMode }, core("ProjectedVolumeSource")),
    hostPath: struct({ path: text }, { type: text }, core("HostPathVolumeSource")),
    persistentVolumeClaim: struct({ claimName: text }, { readOnly: bool }, core("PersistentVolumeClaimVolumeSource")),
    csi: anyObject,
    ephemeral: anyObject,
    image: anyObject,
    nfs: anyObject,
    iscsi: anyObject,
    gcePersistentDisk: anyObject,
    awsElasticBlockStore: anyObject,
    gitRepo: anyObject,
    glusterfs: anyObject,
    rbd: anyObject,
    flexVolume: anyObject,
    cinder: anyObject,
    cephfs: anyObject,
    flocker: anyObject,
    fc: anyObject,
    azureFile: anyObject,
    azureDisk: anyObject,
    vsphereVolume: anyObject,
    quobyte: anyObject,
    photonPersistentDisk: anyObject,
    portworxVolume: anyObject,
    scaleIO: anyObject,
    storageos: anyObject,
  },
  core("Volume"),
);
export type Volume = Static<typeof volume>;

const nodeRequirement = struct({ key: text, operator: text }, { values: list(text) }, core("NodeSelectorRequirement"));
const nodeTerm = struct(
  {},
  { matchExpressions: list(nodeRequirement), matchFields: list(nodeRequirement) },
  { ...core("NodeSelectorTerm"), mapType: "atomic" },
);
const podTerm = struct(
  { topologyKey: text },
  { labelSelector, namespaces: list(text), namespaceSelector: labelSelector, matchLabelKeys: list(text), mismatchLabelKeys: list(text) },
  core("PodAffinityTerm"),
);
const weightedPodTerm = struct({ weight: int32, podAffinityTerm: podTerm }, {}, core("WeightedPodAffinityTerm"));
const podAffinity = (name: string) =>
  struct(
    {},
    { requiredDuringSchedulingIgnoredDuringExecution: list(podTerm), preferredDuringSchedulingIgnoredDuringExecution: list(weightedPodTerm) },
    core(name),
  );

export const affinity = struct(
  {},
  {
    nodeAffinity: struct(
      {},
      {
        requiredDuringSchedulingIgnoredDuringExecution: struct({ nodeSelectorTerms: list(nodeTerm) }, {}, { ...core("NodeSelector"), mapType: "atomic" }),
        preferredDuringSchedulingIgnoredDuringExecution: list(struct({ weight: int32, preference: nodeTerm }, {}, core("PreferredSchedulingTerm"))),
      },
      core("NodeAffinity"),
    ),
    podAffinity: podAffinity("PodAffinity"),
    podAntiAffinity: podAffinity("PodAntiAffinity"),
  },
  core("Affinity"),
);

export const toleration = struct({}, { key: text, operator: text, value: text, effect: text, tolerationSeconds: int64 }, core("Toleration"));

export const topologySpread = struct(
  { maxSkew: int32, topologyKey: text, whenUnsatisfiable: text },
  { labelSelector, minDomains: int32, nodeAffinityPolicy: text, nodeTaintsPolicy: text, matchLabelKeys: list(text) },
  core("TopologySpreadConstraint"),
);

export const secretData = mapOf(bytes);
