/**
 * weft-names: answers DNS on each node from what the agent wrote down, so that names are there while an agent is not. It shares
 * its address with its successor, so a new one is there before the old one leaves. It uses no port that the scheduler
 * knows of, because two on one node would never be allowed.
 */
import { CONFIG_HASH_ANNOTATION, own, SYSTEM, type Manifest } from "./manifest.ts";
import { configMount, configVolume, smallHeap } from "./pod-parts.ts";
import type { InstallSettings } from "./settings.ts";

export const NAMES = "weft-names";
const LABELS = { app: NAMES };
/** Alone in its folder: this program sees nothing else of the agent's. */
const FOLDER = "/run/weft/names";
export const NODE_NAMES_FILE = `${FOLDER}/zone.json`;

export function names({ config, imagePullPolicy }: InstallSettings, hash: string): Manifest {
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: own(NAMES, { namespace: SYSTEM, labels: LABELS }),
    spec: {
      selector: { matchLabels: LABELS },
      // A program that cannot answer ends within this time, and its predecessor stays.
      minReadySeconds: 3,
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels: LABELS, annotations: { [CONFIG_HASH_ANNOTATION]: hash } },
        spec: {
          automountServiceAccountToken: false,
          hostNetwork: true,
          dnsPolicy: "Default",
          priorityClassName: "system-node-critical",
          terminationGracePeriodSeconds: 5,
          tolerations: [{ operator: "Exists" }],
          containers: [
            {
              name: "names",
              image: config.image,
              imagePullPolicy,
              args: ["names", "--kubernetes"],
              env: [smallHeap],
              resources: { requests: { cpu: "20m", memory: "64Mi" } },
              // Port 53 of the node's network needs a capability, and Kubernetes gives capabilities to root alone.
              securityContext: {
                runAsUser: 0,
                runAsGroup: 0,
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
                seccompProfile: { type: "RuntimeDefault" },
              },
              volumeMounts: [configMount, { name: "names", mountPath: FOLDER, readOnly: true }],
            },
          ],
          volumes: [configVolume, { name: "names", hostPath: { path: FOLDER, type: "DirectoryOrCreate" } }],
        },
      },
    },
  };
}
