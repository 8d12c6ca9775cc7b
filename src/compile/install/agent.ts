/** weft-agent: one a node. It is root of its node: it wires pods, writes rules, installs the CNI plugin, and knows pods by their kernel facts. */
import { AGENT, CONFIG_HASH_ANNOTATION, own, SYSTEM, type Manifest } from "./manifest.ts";
import { configMount, configVolume, httpProbe, smallHeap, whoAmI } from "./pod-parts.ts";
import type { InstallSettings } from "./settings.ts";

const LABELS = { app: AGENT };
export const AGENT_PORT = 10252;
/** Whom the agent's token is for: the control plane, and nobody else. */
const AUDIENCE = "weft";
const TOKEN_FOLDER = "/var/run/secrets/weft";

export function agent({ config, imagePullPolicy }: InstallSettings, hash: string): Manifest {
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: own(AGENT, { namespace: SYSTEM, labels: LABELS }),
    spec: {
      selector: { matchLabels: LABELS },
      // Established flows live in the kernel and go on. An installation that ends has nothing to be careful about.
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: config.phase === "uninstall" ? "100%" : 1 } },
      template: {
        metadata: { labels: LABELS, annotations: { [CONFIG_HASH_ANNOTATION]: hash } },
        spec: {
          serviceAccountName: AGENT,
          hostNetwork: true,
          // It finds a pod's processes by their ids.
          hostPID: true,
          dnsPolicy: "Default",
          priorityClassName: "system-node-critical",
          terminationGracePeriodSeconds: 10,
          tolerations: [{ operator: "Exists" }],
          containers: [
            {
              name: "agent",
              image: config.image,
              imagePullPolicy,
              args: ["agent", "--kubernetes"],
              env: [...whoAmI, smallHeap],
              ports: [{ name: "http-monitoring", containerPort: AGENT_PORT, protocol: "TCP" }],
              livenessProbe: httpProbe("/healthz", AGENT_PORT, { periodSeconds: 10, failureThreshold: 18, timeoutSeconds: 10 }),
              readinessProbe: httpProbe("/readyz", AGENT_PORT, { periodSeconds: 2, failureThreshold: 3 }),
              resources: { requests: { cpu: "100m", memory: "128Mi" } },
              securityContext: { privileged: true, runAsUser: 0, runAsGroup: 0, readOnlyRootFilesystem: true },
              volumeMounts: [
                configMount,
                { name: "token", mountPath: TOKEN_FOLDER, readOnly: true },
                { name: "tmp", mountPath: "/tmp" },
                // Its state, and the network namespaces of pods, which containerd mounts there later than we start.
                { name: "run", mountPath: "/run", mountPropagation: "HostToContainer" },
                { name: "cni-bin", mountPath: "/opt/cni/bin" },
                { name: "cni-conf", mountPath: "/etc/cni/net.d" },
              ],
            },
          ],
          volumes: [
            configVolume,
            { name: "token", projected: { sources: [{ serviceAccountToken: { audience: AUDIENCE, path: "token", expirationSeconds: 3600 } }] } },
            { name: "tmp", emptyDir: {} },
            { name: "run", hostPath: { path: "/run", type: "Directory" } },
            { name: "cni-bin", hostPath: { path: "/opt/cni/bin", type: "DirectoryOrCreate" } },
            { name: "cni-conf", hostPath: { path: "/etc/cni/net.d", type: "DirectoryOrCreate" } },
          ],
        },
      },
    },
  };
}
