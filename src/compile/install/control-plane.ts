/** weft-control: xDS, the CA, the injector. In its node's network, because the API server must reach it before any pod network is there. */
import { CONFIG_HASH_ANNOTATION, CONTROL, own, SYSTEM, type Manifest } from "./manifest.ts";
import { configMount, configVolume, httpProbe, smallHeap, unprivileged, whoAmI } from "./pod-parts.ts";
import type { InstallSettings } from "./settings.ts";

const LABELS = { app: CONTROL };
const METRICS_PORT = 15014;
/** Names of ports as Istio has them: dashboards look for http-monitoring. */
const PORTS = [
  { name: "grpc-xds", port: 15012, containerPort: 15012 },
  { name: "https-webhook", port: 443, containerPort: 15017 },
  { name: "http-monitoring", port: METRICS_PORT, containerPort: METRICS_PORT },
] as const;

/** Nobody's: the image runs as any user. */
const USER = 65532;

export function controlPlane(settings: InstallSettings, hash: string): readonly Manifest[] {
  return [service, disruptionBudget, deployment(settings, hash)];
}

const service: Manifest = {
  apiVersion: "v1",
  kind: "Service",
  metadata: own(CONTROL, { namespace: SYSTEM, labels: LABELS }),
  spec: { selector: LABELS, ports: PORTS.map(({ name, port, containerPort }) => ({ name, port, targetPort: containerPort, protocol: "TCP" })) },
};

const disruptionBudget: Manifest = {
  apiVersion: "policy/v1",
  kind: "PodDisruptionBudget",
  metadata: own(CONTROL, { namespace: SYSTEM }),
  spec: { maxUnavailable: 1, selector: { matchLabels: LABELS } },
};

function deployment({ config, control, imagePullPolicy }: InstallSettings, hash: string): Manifest {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: own(CONTROL, { namespace: SYSTEM, labels: LABELS }),
    spec: {
      replicas: control.replicas,
      selector: { matchLabels: LABELS },
      // Ports of the node are taken by one replica a node: a new one finds room only when an old one has gone.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      template: {
        metadata: { labels: LABELS, annotations: { [CONFIG_HASH_ANNOTATION]: hash } },
        spec: {
          serviceAccountName: CONTROL,
          hostNetwork: true,
          dnsPolicy: "Default",
          priorityClassName: "system-cluster-critical",
          securityContext: { ...unprivileged.pod, runAsUser: USER, runAsGroup: USER, fsGroup: USER },
          // It starts before nodes are ready: they become so by the agent, which needs it.
          tolerations: [
            { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoSchedule" },
            { key: "node.kubernetes.io/network-unavailable", operator: "Exists", effect: "NoSchedule" },
            { key: "node-role.kubernetes.io/control-plane", operator: "Exists", effect: "NoSchedule" },
          ],
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                { weight: 100, podAffinityTerm: { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: LABELS } } },
              ],
            },
          },
          containers: [
            {
              name: "control",
              image: config.image,
              imagePullPolicy,
              args: ["control", "--kubernetes"],
              env: [...whoAmI, smallHeap],
              ports: PORTS.map(({ name, containerPort }) => ({ name, containerPort, protocol: "TCP" })),
              livenessProbe: httpProbe("/healthz", METRICS_PORT, { periodSeconds: 10, failureThreshold: 18, timeoutSeconds: 10 }),
              readinessProbe: httpProbe("/readyz", METRICS_PORT, { periodSeconds: 2, failureThreshold: 3 }),
              resources: { requests: { cpu: "100m", memory: "160Mi" } },
              securityContext: unprivileged.container,
              volumeMounts: [configMount, { name: "tmp", mountPath: "/tmp" }],
            },
          ],
          volumes: [configVolume, { name: "tmp", emptyDir: {} }],
        },
      },
    },
  };
}
